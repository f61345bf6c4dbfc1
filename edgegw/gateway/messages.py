"""What goes over the control socket, as plain data: problems, changes and verdicts, there and back.

The form of one message is described in `edgegw.gateway.control`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgegw.config.diff import Change
from edgegw.config.diff import render as render_changes
from edgegw.config.problems import Position, Problem
from edgegw.config.report import render

SOCKET = "control.sock"
"""The name of the control socket in the state folder."""
LONGEST_PATH = 107
"""Bytes of its path: what sockaddr_un.sun_path holds, less its closing NUL."""


class Verdict(Protocol):
    """What became of a reload (`edgegw.gateway.service.Verdict`)."""

    @property
    def ok(self) -> bool:
        """It serves, or would."""

    @property
    def number(self) -> int:
        """Of the configuration that serves now."""

    @property
    def problems(self) -> Sequence[Problem]:
        """Errors and warnings."""

    @property
    def sources(self) -> Mapping[str, str]:
        """The texts they are in."""

    @property
    def changes(self) -> Sequence[Change]:
        """Against what served before."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The verdict on a configuration that did not even reach the gateway."""

    number: int
    problems: Sequence[Problem]
    sources: Mapping[str, str]
    ok: bool = False
    changes: Sequence[Change] = ()


def problems_data(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Problems as `edgegw check --json` prints them."""
    made: list[dict[str, Any]] = json.loads(render(problems, {}, "json"))["problems"]
    return made


def problems_from(data: Iterable[Mapping[str, Any]]) -> tuple[Problem, ...]:
    """The other way."""
    return tuple(_problem(each) for each in data)


def _problem(data: Mapping[str, Any]) -> Problem:
    position = None
    if data.get("file") is not None:
        position = Position(data["file"], data["line"], data["column"], data.get("width") or 1)
    return Problem(
        tuple(data["loc"]),
        data["message"],
        data.get("hint"),
        data["severity"],
        explain=data.get("explain"),
        position=position,
    )


def changes_data(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Changes as `edgegw diff --json` prints them."""
    made: list[dict[str, Any]] = json.loads(render_changes(changes, "json"))
    return made


def changes_from(data: Iterable[Mapping[str, Any]]) -> list[Change]:
    """The other way."""
    return [Change(tuple(each["loc"]), each["kind"], each["old"], each["new"]) for each in data]


def verdict_data(verdict: Verdict) -> dict[str, Any]:
    """A verdict, with the texts of those files only that a problem is in."""
    named = {problem.file for problem in verdict.problems}
    return {
        "ok": verdict.ok,
        "number": verdict.number,
        "problems": problems_data(verdict.problems),
        "sources": {name: text for name, text in verdict.sources.items() if name in named},
        "changes": changes_data(verdict.changes),
    }
