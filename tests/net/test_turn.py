"""Tests for `edgegw.net.turn`."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

from twisted.trial.unittest import TestCase

from edgegw.net.turn import Turn, turn_of


class Loop:
    """A loop that only remembers."""

    def __init__(self) -> None:
        self.soon: list[Any] = []

    def call_soon(self, call: Any, *, context: contextvars.Context) -> None:
        self.soon.append((call, context))


class Sender:
    """A connection that records what is put on its wire."""

    def __init__(self, fails: bool = False) -> None:
        self.gathered = 0
        self.sent: list[bytes] = []
        self._fails = fails

    def send(self, data: bytes) -> None:
        if self._fails:
            raise OSError("broken")
        self.sent.append(data)


class TurnTests(TestCase):
    """What is gathered leaves once, in order, whatever becomes of a neighbour."""

    def test_order_and_end(self) -> None:
        loop, one, two = Loop(), Sender(), Sender()
        turn = Turn(loop)  # type: ignore[arg-type]
        turn.begin()
        turn.waiting += [(one, b"a"), (two, b"x"), (one, b"b")]
        one.gathered, two.gathered = 2, 1
        self.assertEqual(one.sent, [])
        loop.soon[0][0]()
        # What one connection wrote, in one piece: many streams may share it.
        self.assertEqual((one.sent, two.sent), ([b"ab"], [b"x"]))
        self.assertEqual((one.gathered, two.gathered), (0, 0))
        turn.flush()
        self.assertEqual(one.sent, [b"ab"])

    def test_a_broken_connection_keeps_nothing_back(self) -> None:
        turn, good = Turn(Loop()), Sender()  # type: ignore[arg-type]
        turn.waiting += [(Sender(fails=True), b"lost"), (good, b"kept")]
        turn.flush()
        self.assertEqual(good.sent, [b"kept"])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_the_end_of_the_turn_runs_in_a_clean_context(self) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
        variable.set("of a request")
        loop = Loop()
        Turn(loop).begin()  # type: ignore[arg-type]
        self.assertNotIn(variable, loop.soon[0][1])

    def test_one_per_loop(self) -> None:
        loop, other = asyncio.new_event_loop(), asyncio.new_event_loop()
        self.addCleanup(loop.close)
        self.addCleanup(other.close)
        self.assertIs(turn_of(loop), turn_of(loop))
        self.assertIsNot(turn_of(loop), turn_of(other))
