"""Verbs about the command itself: version, and docs, which writes the reference pages."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import edgegw
from edgegw.cli.errors_page import errors_markdown
from edgegw.cli.verbs import EXIT_OK, EXIT_PROBLEMS, FORMS, Argument, Call, Verb
from edgegw.config.reference import reference_markdown
from edgegw.gateway.settings import GatewaySettings
from edgegw.observe.reference import metrics_markdown

_PACKAGES = ("twisted", "uvloop", "pyopenssl", "cryptography", "pydantic", "google-re2")

_CLI_HEAD = """# The `edgegw` command

<!-- Made from the verbs by `make docs`: change those, not this page. -->

`edgegw VERB --help` says the same. Exit status: 0 all is well, 1 there are problems, 2 the command line is wrong.

Every verb that prints data has `--json`; `--format github` prints problems as annotations of a GitHub check. Colour goes to
terminals only and is turned off by the environment variable `NO_COLOR`. Verbs that ask the running gateway find it through the
`state` key of the configuration, or through `--state DIR`: its control socket is `control.sock` in that folder, for the gateway's
own user. [Its protocol](control-socket.md) is open to other programs.

| Verb | What it does |
|---|---|
"""


def run_version(call: Call) -> int:
    """What is installed."""
    found = {"edgegw": edgegw.__version__, "python": platform.python_version(), **_installed(_PACKAGES)}
    if call.out.is_json:
        call.out.data(found)
        return EXIT_OK
    call.out.line(f"edgegw {edgegw.__version__}")
    call.out.line("  " + ", ".join(f"{name} {number}" for name, number in found.items() if name != "edgegw"))
    call.out.line(f"  {sys.executable}")
    return EXIT_OK


def _installed(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cli_markdown(verbs: Mapping[str, Verb]) -> str:
    """The page about the command, ending in a line break."""
    lines = [f"| [`{verb.name}`](#edgegw-{verb.name}) | {_cell(verb.summary)} |" for verb in verbs.values()]
    for verb in verbs.values():
        lines += [
            "",
            f"## edgegw {verb.name}",
            "",
            "```",
            verb.usage,
            "```",
            "",
            f"{verb.summary[0].upper()}{verb.summary[1:]}.",
        ]
        if verb.details:
            lines += ["", *_paragraph(verb.details)]
        if verb.arguments:
            lines += ["", "| Argument | |", "|---|---|"]
            lines += [f"| `{_cell(each.shown)}` | {_cell(each.help)} |" for each in verb.arguments]
        if verb.examples:
            lines += ["", "```console", *(f"$ {example}" for example in verb.examples), "```"]
    return _CLI_HEAD + "\n".join(lines) + "\n"


def _paragraph(text: str) -> list[str]:
    """A verb's details; what is indented is code."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        lines += ["", line, ""] if line.startswith("    ") else [line]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def run_docs(call: Call) -> int:
    """Write the reference pages, or say which are stale."""
    folder = Path(call.options.dir)
    pages = {
        "configuration.md": reference_markdown(GatewaySettings),
        "cli.md": cli_markdown(call.verbs),
        "metrics.md": metrics_markdown(),
        "errors.md": errors_markdown(),
    }
    stale = [name for name, text in pages.items() if _current(folder / name) != text]
    if call.options.check:
        for name in stale:
            call.out.note(f"{folder / name}: {_first_difference(_current(folder / name), pages[name])}")
        return EXIT_PROBLEMS if stale else EXIT_OK
    folder.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (folder / name).write_text(pages[name], encoding="utf-8")
        call.out.line(f"{folder / name}: written")
    return EXIT_OK


def _current(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _first_difference(there: str | None, wanted: str) -> str:
    if there is None:
        return "is missing"
    pairs = zip([*there.splitlines(), ""], [*wanted.splitlines(), ""], strict=False)
    line = next((number for number, (old, new) in enumerate(pairs, 1) if old != new), 1)
    return f"is stale from line {line} on"


VERSION = Verb("version", "print the version of edgegw and of what it is built on", run_version, FORMS)
DOCS = Verb(
    "docs",
    "write the reference pages of the documentation",
    run_docs,
    (
        Argument(("DIR",), "where to, such as docs/reference"),
        Argument(("--check",), "write nothing; exit with 1 if a page is stale", {"action": "store_true"}),
        *FORMS,
    ),
)
