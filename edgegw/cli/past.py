"""What was accepted before: history, diff. Both read the state folder themselves where no gateway runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgegw.cli.control_client import NotRunning, ask
from edgegw.cli.place import config_path, control_socket, state_dir
from edgegw.cli.running import moment
from edgegw.cli.verbs import (
    CONFIG,
    EXIT_OK,
    EXIT_PROBLEMS,
    FORMS,
    STATE,
    Argument,
    Call,
    CommandFailed,
    UsageProblem,
    Verb,
    number,
)
from edgegw.config.diff import Change, diff
from edgegw.gateway.commands import FILE, RUNNING, CommandError, side
from edgegw.gateway.history import History, NoSuchNumber
from edgegw.gateway.messages import changes_data, changes_from


def run_history(call: Call) -> int:
    """Every accepted configuration, or the text of one."""
    history = _history(call)
    if call.options.number is not None:
        return _print_texts(call, history)
    running = _running_number(call)
    entries = history.entries()
    if call.out.is_json:
        call.out.data({"running": running, "entries": [entry.as_data() for entry in entries]})
        return EXIT_OK
    if not entries:
        call.out.note(f"no configuration was accepted yet ({history.folder})")
        return EXIT_OK
    rows = [
        (
            f"{'*' if entry.number == running else ' '} {entry.number}",
            moment(entry.time.isoformat()),
            entry.source,
            entry.digest[:12],
            ", ".join(Path(name).name for name in entry.files),
        )
        for entry in entries
    ]
    call.out.table(("NUMBER", "ACCEPTED", "BY", "DIGEST", "FILES"), rows)
    return EXIT_OK


def _history(call: Call) -> History:
    history = History(state_dir(call))
    if history.folder.is_dir() and not os.access(history.folder, os.R_OK | os.X_OK):
        raise CommandFailed(
            f"{history.folder} may only be read by the user that runs the gateway (this is uid {os.geteuid()})"
        )
    return history


def _running_number(call: Call) -> int | None:
    try:
        running: int = ask(control_socket(call), "status", timeout_s=5.0)["number"]
    except CommandFailed:
        return None
    return running


def _print_texts(call: Call, history: History) -> int:
    wanted = call.options.number
    try:
        texts = history.texts(wanted)
    except NoSuchNumber as error:
        raise CommandFailed(str(error)) from None
    if call.out.is_json:
        call.out.data({"number": wanted, "files": dict(texts)})
        return EXIT_OK
    for name, text in texts.items():
        if len(texts) > 1:
            call.out.line(f"# --- {name}")
        call.out.stdout.write(text if text.endswith("\n") else f"{text}\n")
    return EXIT_OK


def run_diff(call: Call) -> int:
    """What differs between two configurations."""
    old, new = _sides(call.options.old, call.options.new)
    try:
        changes = changes_from(ask(control_socket(call), "diff", {"old": old, "new": new})["changes"])
    except NotRunning:
        changes = _offline(call, old, new)
    if call.out.is_json:
        call.out.data(changes_data(changes))
    else:
        call.out.changes(changes)
    return EXIT_PROBLEMS if changes and call.options.exit_code else EXIT_OK


def _sides(old: str | None, new: str | None) -> tuple[int | str, int | str]:
    """None: running and file. One: that one and running."""
    if old is None:
        return RUNNING, FILE
    return _side(old), RUNNING if new is None else _side(new)


def _side(word: str) -> int | str:
    if word in (RUNNING, FILE):
        return word
    if word.isdecimal() and word.isascii():
        return int(word)
    raise UsageProblem(f'a side is a number from `edgegw history`, or running, or file, not "{word}"')


def _offline(call: Call, old: int | str, new: int | str) -> list[Change]:
    """Without a gateway: what would serve now is what was accepted last."""
    history = _history(call)
    path = Path(config_path(call))

    def read_side(name: int | str) -> tuple[Any, Any]:
        if name == RUNNING:
            newest = history.newest
            if newest is None:
                raise CommandFailed(
                    f"no gateway is running, and none has accepted a configuration yet ({history.folder})"
                )
            call.out.note(f"no gateway is running; its place takes number {newest.number}, which was accepted last")
            name = newest.number
        try:
            return side(name, path, history)
        except CommandError as error:
            raise CommandFailed(str(error)) from None

    (old_settings, old_document), (new_settings, new_document) = read_side(old), read_side(new)
    return diff(old_settings, new_settings, old_document, new_document)


HISTORY = Verb(
    "history",
    "list the configurations that were accepted, or print one",
    run_history,
    (
        Argument(("NUMBER",), "print the text of this one", {"nargs": "?", "type": number}),
        CONFIG,
        STATE,
        *FORMS,
    ),
    "The one that serves now has a star.",
    ("edgegw history", "edgegw history 3 > edgegw.yaml"),
)
DIFF = Verb(
    "diff",
    "say what differs between the running configuration and the file, or between two",
    run_diff,
    (
        Argument(("OLD",), "a number from `edgegw history`, or running, or file (default: running)", {"nargs": "?"}),
        Argument(("NEW",), "the same (default: file; running if OLD is given)", {"nargs": "?"}),
        Argument(("--exit-code",), "exit with 1 if there are differences", {"action": "store_true"}),
        CONFIG,
        STATE,
        *FORMS,
    ),
    "",
    ("edgegw diff", "edgegw diff 3", "edgegw diff 3 5"),
)
