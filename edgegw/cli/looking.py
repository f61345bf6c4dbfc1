"""What a configuration does: routes, match. Of a file, or with --running of the gateway that runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgegw.cli.control_client import ask
from edgegw.cli.output import Output, plain
from edgegw.cli.place import config_path, control_socket
from edgegw.cli.verbs import (
    CONFIG,
    CONFIG_WORD,
    EXIT_OK,
    EXIT_PROBLEMS,
    FORMS,
    STATE,
    Argument,
    Call,
    UsageProblem,
    Verb,
)
from edgegw.gateway import inquiry
from edgegw.gateway.loading import provision, read
from edgegw.gateway.snapshot import Snapshot

_RUNNING = Argument(("--running",), "ask the gateway that runs, not the file", {"action": "store_true"})


def _snapshot(call: Call) -> Snapshot:
    return provision(read(config_path(call), environ=call.environ, defer=True))


def run_routes(call: Call) -> int:
    """Every route."""
    if call.options.running:
        found = ask(control_socket(call), "routes")["routes"]
    else:
        found = inquiry.routes(_snapshot(call))
    if call.out.is_json:
        call.out.data(found)
        return EXIT_OK
    rows = [
        (each["match"] + (" when ..." if each["when"] else ""), each["target"], each["name"], each["place"])
        for each in found
    ]
    call.out.table(("MATCH", "GOES", "NAME", "PLACE"), rows)
    return EXIT_OK


def run_match(call: Call) -> int:
    """Which route would take a request."""
    options = call.options
    headers = [_header(text) for text in options.header or ()]
    try:
        question = inquiry.Question.parse(options.request, headers, options.client or "")
        if options.running:
            arguments = {"request": options.request, "headers": headers, "client": options.client or ""}
            found = ask(control_socket(call), "match", arguments)
        else:
            found = inquiry.match(_snapshot(call), question)
    except inquiry.BadQuestion as error:
        raise UsageProblem(str(error)) from None
    if call.out.is_json:
        call.out.data(found)
    else:
        _print_match(call.out, found)
    return EXIT_OK if found["route"] is not None else EXIT_PROBLEMS


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageProblem(f'-H takes "Name: value", not {text!r}')
    return name.strip(), value.strip()


def _print_match(out: Output, found: Mapping[str, Any]) -> None:
    out.line(f"{out.paint(plain(found['request']), 'bold')}  on {plain(found['listener'])}")
    route = found["route"]
    if route is None:
        out.line(f"  answer  {found['status']}: {plain(found['reason'])}")
    else:
        facts = [("route", route["name"]), ("match", route["match"]), ("goes", route["target"])]
        if found["params"]:
            facts.append(("params", ", ".join(f"{name}={value}" for name, value in found["params"].items())))
        if route["middleware"]:
            facts.append(("uses", ", ".join(route["middleware"])))
        facts.append(("place", route["place"]))
        for name, value in facts:
            out.line(f"  {name:<7} {plain(str(value))}")
    if found["candidates"]:
        out.line("fits host and path, but is not chosen:")
        for each in found["candidates"]:
            out.line(f"  {plain(each['match'])}  ({plain(each['place'])}): {plain(each['lost_because'])}")


ROUTES = Verb(
    "routes",
    "list the routes, what they match and where they go",
    run_routes,
    (CONFIG_WORD, CONFIG, _RUNNING, STATE, *FORMS),
)
MATCH = Verb(
    "match",
    "say which route would take a request, and why not another",
    run_match,
    (
        Argument(("REQUEST",), "[METHOD ]URL, such as 'GET https://api.example.com/users/7'"),
        Argument(
            ("-H", "--header"),
            "a header of the request, such as 'X-Beta: 1'",
            {"action": "append", "metavar": "HEADER"},
        ),
        Argument(("--client",), "the address it comes from", {"metavar": "IP"}),
        CONFIG,
        _RUNNING,
        STATE,
        *FORMS,
    ),
    "Exits with 1 if no route takes it.",
    ("edgegw match /users/7", "edgegw match 'POST https://api.example.com/users' -H 'Cookie: a=b' --client 10.0.0.7"),
)
