"""What stands behind the gateway that runs: upstreams, upstream drain|ready|weight|reset, events."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from edgegw.cli.control_client import ask
from edgegw.cli.output import Output, plain
from edgegw.cli.place import control_socket
from edgegw.cli.verbs import CONFIG, EXIT_OK, EXIT_PROBLEMS, FORMS, STATE, Argument, Call, UsageProblem, Verb
from edgegw.gateway.commands import MOST_WAIT_S
from edgegw.gateway.operating import ACTIONS, MOST

_CHECKS = 8
"""How many of the latest probes a row shows."""

HEADS = ("UPSTREAM", "ENDPOINT", "STATE", "SOURCE", "ZONE", "WEIGHT", "IN FLIGHT", "LEASED", "IDLE", "QUEUED", "CHECKS")


def run_upstreams(call: Call) -> int:
    """Endpoints, as the running gateway sees them."""
    found = ask(control_socket(call), "upstreams")["upstreams"]
    wanted = call.options.name
    if wanted is not None:
        found = [upstream for upstream in found if upstream["name"] == wanted]
        if not found:
            call.out.failure(f'there is no upstream "{wanted}"', EXIT_PROBLEMS, "see: edgegw upstreams")
            return EXIT_PROBLEMS
    if call.out.is_json:
        call.out.data(found)
        return EXIT_OK
    call.out.table(HEADS, [_row(upstream, each) for upstream in found for each in upstream["endpoints"]])
    for upstream in found:
        _print_facts(call.out, upstream)
        if wanted is not None:
            _print_advice(call.out, upstream)
            _print_limits(call.out, upstream)
            _print_reasons(call.out, upstream["endpoints"])
    return EXIT_OK


def _row(upstream: Mapping[str, Any], each: Mapping[str, Any]) -> Sequence[object]:
    weight = f"{each['weight']}{'*' if each['weight_by_operator'] else ''}"
    if each["warmth"] < 1:
        weight += f" at {each['warmth']:.0%}"
    pool = each["connections"]
    checks = "".join("+" if check["ok"] else "-" for check in each["checks"][-_CHECKS:])
    return (
        upstream["name"],
        each["name"],
        each["state"],
        each["source"],
        each["zone"],
        weight,
        each["in_flight"],
        pool["leased"],
        pool["idle"],
        each["queued"],
        checks,
    )


def _print_facts(out: Output, upstream: Mapping[str, Any]) -> None:
    """What is not as it should be with the upstream as a whole."""
    name, breaker, found = upstream["name"], upstream["breaker"], upstream["discovery"]
    if breaker is not None and breaker["state"] != "admitting":
        out.line(out.paint(f"{plain(name)}: breaker {plain(breaker['words'])}", "red"))
    if upstream["panic"]:
        out.line(out.paint(f"{plain(name)}: panic: too few endpoints are free, so all are used", "red"))
    if found is not None:
        text = f"{plain(name)}: discovered by {plain(found['source'])}, {plain(str(found['state']))}"
        if found["state"] == "fresh" and not found["failing"]:
            out.line(text)
        else:
            error = f": {plain(found['last_error'])}" if found["last_error"] else ""
            out.line(out.paint(f"{text}, last heard {found['age_s']:.0f} s ago{error}", "yellow"))
    if not upstream["endpoints"]:
        out.line(out.paint(f"{plain(name)}: no endpoints", "yellow"))


def _print_limits(out: Output, upstream: Mapping[str, Any]) -> None:
    """What bounds its exchanges and attempts."""
    name, breaker = plain(upstream["name"]), upstream["breaker"]
    bulkhead, attempts = upstream["bulkhead"], upstream["attempts"]
    if breaker is None or breaker["state"] == "admitting":
        out.line(f"{name}: breaker {plain(breaker['words']) if breaker is not None else 'off'}")
    if bulkhead is not None:
        most = f" of {bulkhead['most']}" if bulkhead["most"] else ""
        out.line(f"{name}: bulkhead {bulkhead['inside']}{most} inside, {bulkhead['queued']} waiting")
    added, within = attempts["added"], f"within {attempts['window_s']} s"
    out.line(f"{name}: {added} attempts added to {attempts['exchanges']} exchanges {within}")


def _print_advice(out: Output, upstream: Mapping[str, Any]) -> None:
    """How it is balanced and probed, and what of that discovery brought."""
    name, advice, found = plain(upstream["name"]), upstream["advice"], upstream["discovery"]
    out.line(f"{name}: balanced by {plain(upstream['balance'])}, probed by {plain(upstream['health'] or 'nothing')}")
    if advice is not None:
        by = plain(advice["source"])
        for key, value in advice["acts"].items():
            out.line(f"  {plain(key)} {plain(str(value))}: advised by {by}")
        for key, reason in advice["ignored"].items():
            out.line(out.paint(f"  {plain(key)} advised by {by} does not act: {plain(reason)}", "yellow"))
    if found is not None and found["refused"]:
        words = f"{name}: {found['refused']} refused, the last: {plain(found['last_refused'])}"
        out.line(out.paint(words, "yellow"))


def _print_reasons(out: Output, endpoints: Sequence[Mapping[str, Any]]) -> None:
    for each in endpoints:
        out.line(f"{plain(each['name'])}: {plain(each['why'])}")
        for hold, reason in each["holds"].items():
            out.line(f"  {hold}: {plain(reason)}")
        if each["ejections"]:
            out.line(f"  ejected {each['ejections']} times")
        for check in each["checks"][-_CHECKS:]:
            verdict = out.paint("passed", "green") if check["ok"] else out.paint("failed", "red")
            out.line(f"  {_time(check['at'])} {verdict} in {check['took_ms']:g} ms: {plain(check['detail'])}")


def run_upstream(call: Call) -> int:
    """Change what serves."""
    options = call.options
    arguments = {"name": options.name, "action": options.action}
    if options.action != "reset":
        if options.endpoint is None:
            raise UsageProblem(f"upstream {options.action} needs an endpoint; see: edgegw upstreams")
        arguments["endpoint"] = options.endpoint
    if options.action == "weight":
        text = options.weight or ""
        if not (text.isdecimal() and text.isascii() and 0 < int(text) <= MOST):
            raise UsageProblem(f"a weight is a number from 1 to {MOST}")
        arguments["weight"] = int(text)
    answer = ask(control_socket(call), "upstream", arguments)
    if call.out.is_json:
        call.out.data(answer)
    elif options.action == "reset":
        call.out.line(f"{plain(answer['upstream'])}: the breaker is {answer['breaker']}")
    else:
        call.out.line(f"{plain(answer['endpoint'])}: {answer['state']}, weight {answer['weight']}")
    return EXIT_OK


def run_events(call: Call) -> int:
    """What happened, and with --follow what happens."""
    options, path = call.options, control_socket(call)
    arguments: dict[str, Any] = {"since": options.since}
    while True:
        answer = ask(path, "events", arguments)
        for event in answer["events"]:
            if options.upstream is None or event["upstream"] == options.upstream:
                _print_event(call.out, event)
        call.out.stdout.flush()
        if not options.follow:
            return EXIT_OK
        # A gateway that was started anew counts from the beginning.
        arguments = {"since": answer["last"], "wait_s": MOST_WAIT_S}


def _print_event(out: Output, event: Mapping[str, Any]) -> None:
    if out.is_json:
        out.line(json.dumps(event))  # One a line: a stream has no end.
        return
    what = event["kind"].replace("_", " ")
    words = [f"{event['number']}", _time(event["at_s"]), event["upstream"], event["endpoint"], what, event["state"]]
    source = f"({event['source']})" if event["source"] else ""
    tail = f"{event['reason']} {source}".strip()
    out.line(plain("  ".join(word for word in [*words, tail] if word)))


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _since(text: str) -> int:
    if not (text.isdecimal() and text.isascii()):
        raise argparse.ArgumentTypeError(f'it is the number of an event, 0 or more, not "{text}"')
    return int(text)


UPSTREAMS = Verb(
    "upstreams",
    "list the endpoints of the running gateway: standing, source, weight, what is in flight, probes",
    run_upstreams,
    (
        Argument(("NAME",), "only this upstream, and why each endpoint is chosen or not", {"nargs": "?"}),
        CONFIG,
        STATE,
        *FORMS,
    ),
    "CHECKS are the latest active probes, the newest last: + passed, - failed. A weight with * was set by an operator.",
    ("edgegw upstreams", "edgegw upstreams users"),
)
UPSTREAM = Verb(
    "upstream",
    "drain an endpoint of the running gateway, make it ready, give it a weight, or reset a breaker",
    run_upstream,
    (
        Argument(("ACTION",), f"{', '.join(ACTIONS)}", {"choices": ACTIONS}),
        Argument(("NAME",), "of the upstream"),
        Argument(("ENDPOINT",), "its URL, with or without scheme; not for reset", {"nargs": "?"}),
        Argument(("WEIGHT",), f"1 to {MOST}; for weight only", {"nargs": "?"}),
        CONFIG,
        STATE,
        *FORMS,
    ),
    "Holds until it is taken back by `ready` or the gateway ends, whatever discovery says, also over reloads.\n"
    "An endpoint that drains finishes what is in flight and keeps the clients that are stuck to it.",
    (
        "edgegw upstream drain users http://10.0.0.11:9000",
        "edgegw upstream weight users 10.0.0.11:9000 5",
        "edgegw upstream ready users 10.0.0.11:9000",
        "edgegw upstream reset users",
    ),
)
EVENTS = Verb(
    "events",
    "list what happened to upstreams of the running gateway: endpoints, breakers, discovery",
    run_events,
    (
        Argument(("-f", "--follow"), "go on with what happens from now on", {"action": "store_true"}),
        Argument(("--since",), "only those after this number", {"type": _since, "default": 0, "metavar": "NUMBER"}),
        Argument(("--upstream",), "only those of this upstream", {"metavar": "NAME"}),
        CONFIG,
        STATE,
        *FORMS,
    ),
    "The last 1,024 are kept. With --json each is an object on a line of its own.",
    ("edgegw events --follow --upstream users",),
)
