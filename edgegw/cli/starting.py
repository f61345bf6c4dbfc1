"""Verbs that begin something: run, init, proxy."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from twisted.python import usage
from twisted.scripts import twistd

import edgegw
from edgegw.cli.output import Output, plural
from edgegw.cli.place import DEFAULT_CONFIG, NO_CONFIG, config_path
from edgegw.cli.verbs import (
    CONFIG,
    CONFIG_WORD,
    EXIT_OK,
    EXIT_USAGE,
    FORMS,
    Argument,
    Call,
    CommandFailed,
    UsageProblem,
    Verb,
)
from edgegw.config.problems import ConfigError
from edgegw.config.schema import schema
from edgegw.config.yamltext import scalar
from edgegw.gateway.loading import Loaded, read_to_serve
from edgegw.gateway.settings import GatewaySettings
from edgegw.net.settings import ListenSettings
from edgegw.upstream.address import EndpointUrl

LOOPS = ("auto", "uvloop", "asyncio", "epoll")
SCHEMA_FILE = "edgegw.schema.json"

_MODELINE = f"# yaml-language-server: $schema=./{SCHEMA_FILE}\n"
_FIRST = """\
# Check it: edgegw check     Start it: edgegw run     Every key: edgegw explain
edgegw: 1
listen:
  - {port: 8080, interface: 127.0.0.1}     # without `interface`: every address of this machine
upstreams:
  app: {endpoints: ["http://127.0.0.1:9000"]}     # your server; several share the work
routes:
  - {match: GET /hello, respond: {status: 200, body: "hello from edgegw\\n"}}
  - {match: "/**", to: app}                # everything else; the more exact match wins, whatever the order
observe: {listen: "127.0.0.1:9902"}        # /metrics /livez /readyz
"""


def run_run(call: Call) -> int:
    """twistd in this process, in the foreground."""
    try:
        path = config_path(call)
    except UsageProblem as problem:
        if str(problem) != NO_CONFIG:
            raise
        return _nothing_here(call)
    loaded = read_to_serve(path, environ=call.environ)
    _banner(call.out, path, loaded)
    return _twistd(path, call.options.loop)


def _nothing_here(call: Call) -> int:
    """An empty folder: say what to do, and offer to do it."""
    out = call.out
    out.note(f"There is no {DEFAULT_CONFIG} in this folder, so there is nothing to run yet.")
    if out.stdout.isatty() and out.stderr.isatty() and sys.stdin.isatty():
        if input(f"Write a first {DEFAULT_CONFIG} now? [y/N] ").strip().lower() in ("y", "yes"):
            return _write_first(out, Path(DEFAULT_CONFIG), with_schema=False)
        return EXIT_USAGE
    out.note("  edgegw init                                   writes a first one")
    out.note("  edgegw run --config FILE                      takes one from elsewhere")
    out.note("  edgegw proxy :8080 http://localhost:3000      needs none")
    return EXIT_USAGE


def _banner(out: Output, path: str, loaded: Loaded) -> None:
    settings = loaded.settings
    counts = f"{plural(len(settings.upstreams), 'upstream')}, {plural(len(settings.routes), 'route')}"
    out.note(f"edgegw {edgegw.__version__}  config {path} ({counts})  pid {os.getpid()}")
    width = max(len(listen.name) for listen in settings.listen)
    for listen in settings.listen:
        out.note(
            f"  {'https' if listen.tls else 'http':<6} {listen.name:<{width}}  {_about(listen, settings)}".rstrip()
        )
    out.note("  Ctrl-C finishes what is in flight, then stops; a second one stops at once")


def _about(listen: ListenSettings, settings: GatewaySettings) -> str:
    if listen.redirect == "https":
        return "redirects to https"
    if listen.port is None:
        return ""
    host = "127.0.0.1" if listen.interface in (None, "0.0.0.0", "::") else listen.interface
    host = f"[{host}]" if ":" in host else host
    scheme, usual = ("https", 443) if listen.tls else ("http", 80)
    return f"{scheme}://{host}{'' if listen.port == usual else f':{listen.port}'}/"


def _twistd(path: str, loop: str) -> int:
    """`twistd -n edgegw`, in this process. Returns when the gateway has stopped."""
    options = twistd.ServerOptions()  # type: ignore[attr-defined, no-untyped-call]
    try:
        options.parseOptions(["--nodaemon", "--pidfile=", "edgegw", "--config", path, "--loop", loop])
    except usage.UsageError as error:
        raise CommandFailed(str(error)) from None
    twistd.runApp(options)
    return EXIT_OK


def run_init(call: Call) -> int:
    """A first configuration."""
    path = Path(call.options.file or DEFAULT_CONFIG)
    return _write_first(call.out, path, with_schema=call.options.schema)


def _write_first(out: Output, path: Path, *, with_schema: bool) -> int:
    text = (_MODELINE if with_schema else "") + _FIRST
    try:
        with open(path, "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise CommandFailed(f"{path} is there already and stays as it is; another name: edgegw init FILE") from None
    if with_schema:
        made = Output(out.stdout, out.stderr, "json", {})
        with open(path.parent / SCHEMA_FILE, "w", encoding="utf-8") as stream:
            Output(stream, made.stderr, "json", {}).data(schema(GatewaySettings, title="edgegw configuration"))
    named = "" if path == Path(DEFAULT_CONFIG) else f" --config {path}"
    if out.is_json:
        out.data({"ok": True, "written": str(path), "next": f"edgegw run{named}"})
        return EXIT_OK
    out.line(f"{path} is written. Next:")
    out.line(f"  edgegw run{named}")
    out.line("  curl http://127.0.0.1:8080/hello")
    out.line("Something for it to stand in front of, until you name your own server:")
    out.line("  python3 -m http.server 9000 --bind 127.0.0.1")
    return EXIT_OK


def run_proxy(call: Call) -> int:
    """A gateway without a file: one listener, one upstream."""
    text = _proxy_text(call.options.source, call.options.destination)
    if call.options.print:
        call.out.stdout.write(text)
        return EXIT_OK
    folder = Path(tempfile.mkdtemp(prefix="edgegw-proxy-"))
    try:
        path = folder / DEFAULT_CONFIG
        path.write_text(text, encoding="utf-8")
        loaded = read_to_serve(path, environ={})
        _banner(call.out, f"{call.options.source} -> {call.options.destination}", loaded)
        return _twistd(str(path), call.options.loop)
    except ConfigError as error:
        # The file is ours, so its lines would tell a person nothing.
        raise UsageProblem("; ".join(problem.message for problem in error.problems)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _proxy_text(source: str, destination: str) -> str:
    host, port = _listen_on(source)
    interface = f", interface: {scalar(host)}" if host else ""
    url = _forward_to(destination)
    return (
        f"# edgegw proxy {source} {destination}\nedgegw: 1\nshutdown: {{lame_duck: 0s}}\nlisten:\n  - {{port: {port}{interface}}}\n"
        f'upstreams:\n  app: {{endpoints: [{scalar(url)}]}}\nroutes:\n  - {{match: "/**", to: app}}\n'
    )


def _listen_on(text: str) -> tuple[str, int]:
    """`:8080`, `8080`, `127.0.0.1:8080`, `localhost:8080`, `[::1]:8080`."""
    host, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not (port.isdecimal() and port.isascii() and 0 < int(port) < 65536):
        raise UsageProblem(f'FROM is a port to listen on, such as :8080 or 127.0.0.1:8080, not "{text}"')
    host = host.strip("[]")
    return "127.0.0.1" if host == "localhost" else host, int(port)


def _forward_to(text: str) -> str:
    """`http://localhost:3000`, `localhost:3000`, `:3000`, `3000`, `unix:///run/app.sock`."""
    bare = text.rstrip("/")
    if bare.removeprefix(":").isdecimal():
        bare = f"localhost:{bare.removeprefix(':')}"
    url = bare if "://" in bare else f"http://{bare}"
    try:
        EndpointUrl.parse(url)
    except ValueError as error:
        raise UsageProblem(f"TO is the server to forward to, such as http://localhost:3000; {error}") from None
    return url


_LOOP = Argument(("--loop",), "the event loop (default: auto)", {"choices": LOOPS, "default": "auto"})

RUN = Verb(
    "run",
    "run the gateway in the foreground",
    run_run,
    (CONFIG_WORD, CONFIG, _LOOP),
    "The same as `twistd --nodaemon edgegw --config FILE`. It follows the file: a saved change is taken at once,\n"
    "a wrong one is told and left. SIGTERM drains, SIGHUP reloads.",
    ("edgegw run", "edgegw run --config shop.yaml"),
)
INIT = Verb(
    "init",
    "write a first configuration, with comments",
    run_init,
    (
        Argument(("FILE",), f"where to (default: {DEFAULT_CONFIG})", {"nargs": "?"}),
        Argument(("--schema",), f"write {SCHEMA_FILE} beside it, for editors", {"action": "store_true"}),
        *FORMS,
    ),
)
PROXY = Verb(
    "proxy",
    "forward a port to a server, without a file",
    run_proxy,
    (
        Argument(("FROM",), "where to listen: :8080, 127.0.0.1:8080", destination="source"),
        Argument(("TO",), "where to: http://localhost:3000, :3000, unix:///run/app.sock", destination="destination"),
        Argument(("--print",), "print the configuration that this is, run nothing", {"action": "store_true"}),
        _LOOP,
    ),
    "",
    ("edgegw proxy :8080 http://localhost:3000", "edgegw proxy :8080 :3000 --print > edgegw.yaml"),
)
