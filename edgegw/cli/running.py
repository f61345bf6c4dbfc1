"""Verbs for the gateway that runs: status, reload, rollback, stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgegw.cli.control_client import NotRunning, ask
from edgegw.cli.output import Output, plural
from edgegw.cli.place import control_socket
from edgegw.cli.verbs import CONFIG, EXIT_OK, EXIT_PROBLEMS, FORMS, STATE, Argument, Call, Verb, number
from edgegw.config.report import UNCHANGED
from edgegw.gateway.messages import changes_from, problems_from

_DRY_RUN = Argument(("--dry-run",), "say what would happen, change nothing", {"action": "store_true"})
_DAY_S, _HOUR_S, _MINUTE_S = 86400, 3600, 60


def run_status(call: Call) -> int:
    """One look at the process."""
    out = call.out
    try:
        status = ask(control_socket(call), "status")
    except NotRunning as error:
        if not out.is_json:
            raise
        out.data({"ok": False, "running": False, "error": str(error)})
        return EXIT_PROBLEMS
    if out.is_json:
        out.data({"ok": status["ready"], "running": True, **status})
    else:
        _print_status(out, status)
    return EXIT_OK if status["ready"] else EXIT_PROBLEMS


def _print_status(out: Output, status: Mapping[str, Any]) -> None:
    ready = (
        out.paint("ready", "green")
        if status["ready"]
        else out.paint(f"not ready: {', '.join(status['not_ready'])}", "red")
    )
    out.line(f"edgegw {status['version']}  {ready}  pid {status['pid']}  up {duration(status['uptime_s'])}")
    counts = f"{plural(status['routes'], 'route')}, {plural(status['upstreams'], 'upstream')}"
    out.line(f"config  {status['config']}, number {status['number']} since {moment(status['since'])}: {counts}")
    rows = [(each["name"], each["scheme"], each["connections"]) for each in status["listeners"]]
    out.table(("LISTENER", "SCHEME", "CONNECTIONS"), rows)


def duration(seconds: float) -> str:
    """`3 d 4 h`, `12 min`, `7 s`: the two largest units that count."""
    left, parts = int(seconds), list[str]()
    for size, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def moment(text: str) -> str:
    """An ISO time in UTC as people read it, to the second."""
    return text.replace("T", " ").partition("+")[0].partition(".")[0] + " UTC"


def run_reload(call: Call) -> int:
    """Take the file as it is now."""
    verdict = ask(control_socket(call), "reload", {"dry_run": call.options.dry_run})
    return _tell(call, verdict, f"number {verdict['number']} serves")


def run_rollback(call: Call) -> int:
    """Take an earlier configuration."""
    earlier = call.options.number
    verdict = ask(control_socket(call), "rollback", {"number": earlier, "dry_run": call.options.dry_run})
    status = _tell(call, verdict, f"configuration {earlier} serves again, as number {verdict['number']}")
    if status == EXIT_OK and not call.out.is_json and not call.options.dry_run:
        call.out.note("The file on disk is as it was and comes back with the next reload or start.")
        call.out.note(f"To keep this one: edgegw history {earlier} > FILE")
    return status


def _tell(call: Call, verdict: Mapping[str, Any], done: str) -> int:
    """Print a verdict."""
    out, dry_run = call.out, bool(call.options.dry_run)
    problems, changes = problems_from(verdict["problems"]), changes_from(verdict["changes"])
    if out.is_json:
        out.data({**{key: value for key, value in verdict.items() if key != "sources"}, "dry_run": dry_run})
    elif not verdict["ok"]:
        out.problems(problems, verdict["sources"], "" if dry_run else UNCHANGED)
    else:
        if problems:
            out.problems(problems, verdict["sources"], None)
        if out.form == "text":
            out.changes(changes)
            result = "would be accepted; nothing was changed" if dry_run else done
            out.line(out.paint("ok", "green") + f": {result}")
    return EXIT_OK if verdict["ok"] else EXIT_PROBLEMS


def run_stop(call: Call) -> int:
    """Drain, then end."""
    answer = ask(control_socket(call), "stop")
    if call.out.is_json:
        call.out.data(answer)
    else:
        times = f"not ready for {answer['lame_duck_s']:g} s, then at most {answer['grace_s']:g} s for what is in flight"
        call.out.line(f"the gateway stops: {times}")
    return EXIT_OK


STATUS = Verb(
    "status",
    "say whether the gateway runs and is ready; exit status 0 if it is",
    run_status,
    (CONFIG, STATE, *FORMS),
)
RELOAD = Verb(
    "reload",
    "have the running gateway take the configuration as it is now",
    run_reload,
    (_DRY_RUN, CONFIG, STATE, *FORMS),
    "Waits for the verdict and prints every problem. On any error what served before goes on serving.",
    ("edgegw reload --dry-run", "edgegw reload --format github"),
)
ROLLBACK = Verb(
    "rollback",
    "have the running gateway serve an earlier configuration",
    run_rollback,
    (
        Argument(("NUMBER",), "of the configuration, from `edgegw history`", {"type": number}),
        _DRY_RUN,
        CONFIG,
        STATE,
        *FORMS,
    ),
    "It gets a new number. Its secrets are those of now: the history keeps texts, not what they refer to.",
    ("edgegw history", "edgegw rollback 3"),
)
STOP = Verb(
    "stop",
    "have the running gateway finish what is in flight and end",
    run_stop,
    (CONFIG, STATE, *FORMS),
)
