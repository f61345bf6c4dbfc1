"""When the agent is asked, and with which index."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.backoff import CAP_S
from edgegw.discovery.api.errors import ApiError
from edgegw.discovery.consul.client import Query, Reply
from edgegw.discovery.consul.loop import IDLE_S, SPACING_S, Loop
from tests.discovery.consul.case import Script


class Case(SynchronousTestCase):
    """A loop over a scripted client, on a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.script = Script()
        self.heard: list[tuple[int, bool]] = []
        self.failures: list[str] = []
        self.news = True
        self.loop = Loop(
            self.clock,
            random.Random(7),
            lambda index: self.script.ask(Query("web"), index),
            self.hear,
            lambda error: self.failures.append(str(error)),
        )
        self.loop.start()
        self.addCleanup(self.ended)

    def ended(self) -> None:
        self.loop.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def hear(self, reply: Reply, same: bool) -> bool:
        self.heard.append((reply.index, same))
        return self.news

    def say(self, index: int, took_s: float = 20.0) -> None:
        """Answer after this time, and let pauses pass that need not be."""
        self.clock.advance(took_s)
        self.script.say(index)
        self.clock.advance(0.001)

    def near(self, found: float, wanted: float, delta: float) -> None:
        self.assertLessEqual(abs(found - wanted), delta)

    def pause(self) -> float:
        """How long it is until the next question."""
        asked, waited_s = len(self.script.asked), 0.0
        while len(self.script.asked) == asked:
            self.clock.advance(0.01)
            waited_s += 0.01
            self.assertLess(waited_s, 100)
        return waited_s


class IndexTests(Case):
    """The rules of blocking queries."""

    def test_first_at_once_then_held_back(self) -> None:
        self.say(10)
        self.say(12)
        self.say(12)
        self.assertEqual(self.script.indexes, [0, 10, 12, 12])
        self.assertEqual(self.heard, [(10, False), (12, False), (12, True)])

    def test_backwards(self) -> None:
        """What it brings is used, and the next question is not held back."""
        self.say(10)
        self.say(4)
        self.say(4)
        self.assertEqual(self.script.indexes, [0, 10, 0, 4])
        self.assertEqual(self.heard, [(10, False), (4, False), (4, False)])

    def test_after_a_failure(self) -> None:
        """Everything is asked for anew: the agent may be another one, whose index is far below."""
        self.say(10)
        self.script.fail(ApiError("no"))
        self.pause()
        self.assertEqual(self.script.indexes, [0, 10, 0])

    def test_bug_of_ours(self) -> None:
        """It is logged, told, and asking goes on."""
        self.say(10)
        self.script.fail(ZeroDivisionError("x"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.failures, ["asking failed: ZeroDivisionError('x')"])
        self.pause()


class PaceTests(Case):
    """Never a busy loop."""

    def test_changes_in_a_row(self) -> None:
        """Not more than one question a second; none of them waits longer."""
        for index in range(10, 30):
            self.script.say(index)
            self.near(self.pause(), SPACING_S, 0.02)

    def test_a_change_after_a_while(self) -> None:
        """The next question follows at once."""
        self.clock.advance(5)
        self.script.say(10)
        self.assertEqual(self.script.indexes, [0, 10])

    def test_nothing_new_at_once(self) -> None:
        """An index that moves, or an agent that does not hold back, while nothing changes: pauses that grow, until news."""
        self.news = False
        pauses = []
        for index in range(10, 20):
            self.script.say(index)
            pauses.append(round(self.pause()))
        self.assertEqual(pauses, [1, 2, 4, 8, 15, 15, 15, 15, 15, 15])
        self.assertEqual(pauses[-1], IDLE_S)
        self.news = True
        self.script.say(20)
        self.pause()
        self.news = False
        self.script.say(21)
        self.near(self.pause(), SPACING_S, 0.02)

    def test_nothing_new_after_the_wait(self) -> None:
        """That is how it should be."""
        self.news = False
        for count in range(2, 12):
            self.clock.advance(15)
            self.script.say(10)
            self.assertEqual(len(self.script.asked), count)

    def test_failures(self) -> None:
        """Full jitter below a bound that doubles; an answer ends it."""
        pauses = []
        for _ in range(200):
            self.script.fail(ApiError("no"))
            pauses.append(self.pause())
        for number, pause_s in enumerate(pauses):
            self.assertLessEqual(pause_s, min(CAP_S, 2.0**number) + 0.02)
            self.assertGreaterEqual(pause_s, 0.2)
        late = pauses[10:]
        self.assertGreater(max(late), 0.9 * CAP_S)
        self.assertLess(min(late), 0.1 * CAP_S)
        self.near(sum(late) / len(late), CAP_S / 2, 3)
        self.say(10)
        self.script.fail(ApiError("no"))
        self.assertLessEqual(self.pause(), 1.02)

    def test_asked_to_wait(self) -> None:
        self.script.fail(ApiError("slow down", 429, retry_after_s=50.0))
        self.assertGreaterEqual(self.pause(), 50.0)


class StopTests(Case):
    """The end."""

    def test_while_asking(self) -> None:
        self.loop.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.failures, [])
        self.assertIn("stopped", repr(self.loop))

    def test_while_pausing(self) -> None:
        self.script.say(10)
        self.loop.stop()
        self.clock.advance(100)
        self.assertEqual(self.script.indexes, [0])

    def test_from_a_listener(self) -> None:
        """What is told may end it."""

        def hear(reply: Reply, same: bool) -> Any:
            self.loop.stop()
            return True

        self.loop._heard = hear
        self.script.say(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(100)
        self.assertEqual(self.script.indexes, [0])
