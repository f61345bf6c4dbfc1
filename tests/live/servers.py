"""The real servers of the live tests: `PythonOrigin`, `Nginx`, `HAProxy`, `Gateway`.

    with PythonOrigin() as origin, Gateway(f'''
        edgegw: 1
        listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
        upstreams: {{o: {{endpoints: ["http://127.0.0.1:{origin.port()}"]}}}}
        routes: [{{match: /**, to: o}}]
    ''') as gateway:
        urlopen(f"http://127.0.0.1:{gateway.port('web')}/")

`@{name}` is a free port, `@{dir}` the process's folder (`tests.live.process`).
"""

import http.client
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.live.process import NotReady, Server, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


def fetch(port: int, target: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """One request to a loopback port on a connection of its own; returns status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, target, body=body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class PythonOrigin(Server):
    """`tests.live.origin`, or another script of yours: `PythonOrigin(script=path)` is started with `--port PORT`."""

    def __init__(self, script: Path | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.script = script
        self.port("web")

    def command(self) -> list[str]:
        what = [str(self.script)] if self.script else ["-m", "tests.live.origin"]
        return [sys.executable, "-u", *what, "--port", str(self.port())]

    def start(self) -> Self:
        self.env.setdefault("PYTHONPATH", str(ROOT))
        return super().start()

    def raw(self) -> list[str]:
        """The request heads it received, in order, byte for byte (latin-1), without the empty line at the end."""
        found: list[str] = json.loads(fetch(self.port(), "/_raw")[1])
        return found

    def whole(self) -> list[list[str]]:
        """Method, target and body of every request to `echo` that arrived whole."""
        found: list[list[str]] = json.loads(fetch(self.port(), "/_whole")[1])
        return found

    def reset(self) -> None:
        """Forget what was received."""
        fetch(self.port(), "/_reset")


def proxy(
    *origins: int | str, listen: str = "", upstream: str = "", route: str = "", more: str = "", top: str = ""
) -> str:
    """A configuration that proxies everything to origins on these ports, with metrics on `observe` and an access log in the folder.

    origins: ports of HTTP/1.1 origins, or whole URLs (`h2c://127.0.0.1:9000`).
    listen, upstream, route: further keys, `a: b, c: d`. more: further routes, one a line. top: further top-level lines.
    """
    urls = (f"http://127.0.0.1:{origin}" if isinstance(origin, int) else origin for origin in origins)
    endpoints = ", ".join(f'"{url}"' for url in urls)
    lines = [
        "edgegw: 1",
        "shutdown: {lame_duck: 0s, grace: 10s}",
        'observe: {listen: "127.0.0.1:@{observe}", access_log: "@{dir}/access.log"}',
        "listen:",
        f"  - {{port: @{{web}}, interface: 127.0.0.1, {listen}}}",
        f"upstreams: {{origin: {{endpoints: [{endpoints}], {upstream}}}}}" if origins else "",
        top,
        "routes:",
        *(f"  - {line}" for line in more.splitlines() if line.strip()),
        f"  - {{name: all, match: /**, to: origin, {route}}}" if origins else "",
    ]
    return "\n".join(line for line in lines if line) + "\n"


class Nginx(Server):
    """nginx; `text` is what stands inside `http { }`, with one worker and every path in its own folder."""

    config = "nginx.conf"
    MAIN = """
        user {user};
        daemon off;
        worker_processes 1;
        error_log stderr;
        pid @{{dir}}/nginx.pid;
        events {{ worker_connections 8192; }}
        http {{
            access_log off;
            client_body_temp_path @{{dir}}/body;
            proxy_temp_path @{{dir}}/proxy;
            fastcgi_temp_path @{{dir}}/fastcgi;
            uwsgi_temp_path @{{dir}}/uwsgi;
            scgi_temp_path @{{dir}}/scgi;
        """

    def fill(self, text: str) -> str:
        user = "root" if os.geteuid() == 0 else "nobody"
        return super().fill(textwrap.dedent(self.MAIN.format(user=user)) + textwrap.dedent(text) + "\n}\n")

    def command(self) -> list[str]:
        return [installed("nginx"), "-p", str(self.folder), "-c", str(self.config_path)]


class HAProxy(Server):
    """HAProxy with the configuration as it stands."""

    config = "haproxy.cfg"

    def command(self) -> list[str]:
        return [installed("haproxy"), "-db", "-f", str(self.config_path)]


class Gateway(Server):
    """`twistd edgegw` with this configuration, started from a folder that is not the repository.

    `before` goes between `twistd` and `edgegw` (`["--reactor", "epoll"]`), `args` behind. With a port named `observe` it is ready
    when `/readyz` answers 200.
    """

    config = "edgegw.yaml"

    def __init__(self, text: str, *, before: Sequence[str] = (), python: str = sys.executable, **options: Any) -> None:
        super().__init__(text, **options)
        self.before = tuple(before)
        self.python = python

    def command(self) -> list[str]:
        twistd = str(Path(self.python).with_name("twistd"))
        return [twistd, "--nodaemon", "--pidfile=", *self.before, "edgegw", "--config", str(self.config_path)]

    def start(self) -> Self:
        if self.python == sys.executable:
            self.env.setdefault("PYTHONPATH", str(ROOT))
        return super().start()

    def is_ready(self) -> bool:
        if not super().is_ready():
            return False
        return "observe" not in self.ports or self.observe("/readyz")[0] == 200

    def observe(self, path: str) -> tuple[int, str]:
        """GET a path of `observe.listen`: status and body; (0, "") if nothing answers."""
        try:
            status, body = fetch(self.port("observe"), path)
        except OSError:
            return 0, ""
        return status, body.decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of this metric that carry these labels."""
        total = 0.0
        for line in self.observe("/metrics")[1].splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? ([^ ]+)", line)
            if match is None or match[1] != name:
                continue
            found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            if all(found.get(key) == value for key, value in labels.items()):
                total += float(match[3])
        return total

    def access_records(self, path: str = "") -> list[dict[str, Any]]:
        """The access log's records: from a file in the folder (`access.log` if there is one), or standard output's JSON lines."""
        usual = "access.log" if (self.folder / "access.log").exists() else "stdout"
        text = (self.folder / (path or usual)).read_text(errors="replace")
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if "status" in line]

    def await_records(self, count: int, path: str = "") -> list[dict[str, Any]]:
        """Wait until there are at least `count` access records (they are written in batches)."""
        wait_until(lambda: len(self.access_records(path)) >= count, f"{count} access records")
        return self.access_records(path)


def installed(name: str) -> str:
    """The path of a program, sbin folders included; raises NotReady."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise NotReady(f"{name} is not installed; `make live` installs it, or: python -m tests.live.install")
    return path
