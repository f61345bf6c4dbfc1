"""Turns and the reader."""

import threading
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import ConfigError
from edgegw.gateway.reloading import Reader, Turns, Verdict


class TurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.runs: list[tuple[str, Any, bool, Deferred[Verdict]]] = []

        async def run(source: str, document: Any, dry_run: bool) -> Verdict:
            promise: Deferred[Verdict] = Deferred()
            self.runs.append((source, document, dry_run, promise))
            return await promise

        self.turns = Turns(run)

    def take(self, *args: Any) -> "Deferred[Verdict]":
        return ensureDeferred(self.turns.take(*args))

    def end(self, number: int, result: Any = None) -> Verdict:
        verdict = result or Verdict(True, number)
        (self.runs[number][3].errback if result else self.runs[number][3].callback)(verdict)
        return verdict

    def test_the_first_runs_at_once(self) -> None:
        first = self.take("a")
        self.assertEqual(len(self.runs), 1)
        self.assertFalse(self.turns.awaited)
        self.assertIs(self.end(0), self.successResultOf(first))

    def test_those_that_wait_share_the_next(self) -> None:
        first, *others = [self.take(name) for name in "abcd"]
        self.assertEqual(len(self.runs), 1)
        self.assertTrue(self.turns.awaited)
        self.assertIn("3 wait", repr(self.turns))
        self.end(0)
        self.successResultOf(first)
        self.assertEqual([run[0] for run in self.runs], ["a", "b"])
        for other in others:
            self.assertNoResult(other)
        late = self.take("late")
        verdict = self.end(1)
        for other in others:
            self.assertIs(self.successResultOf(other), verdict)
        self.assertNoResult(late)  # It came after the file was read.
        self.end(2)
        self.successResultOf(late)
        self.assertEqual(repr(self.turns), "<Turns at rest, 0 wait>")

    def test_dry_runs_and_documents_have_turns_of_their_own(self) -> None:
        self.take("a")
        document: Any = object()
        waiting = [self.take("b"), self.take("c", None, True), self.take("d", document), self.take("e", document)]
        for number in range(5):
            self.assertEqual(len(self.runs), number + 1, "one at a time")
            self.end(number)
        self.assertEqual([run[0] for run in self.runs], ["a", "b", "c", "d", "e"])
        self.assertEqual([run[2] for run in self.runs], [False, False, True, False, False])
        for each in waiting:
            self.successResultOf(each)

    def test_a_defect_reaches_all_and_stops_nothing(self) -> None:
        self.take("a")
        shared = [self.take("b"), self.take("c")]
        self.end(0)
        self.end(1, SystemExit(1))
        for each in shared:
            self.failureResultOf(each, SystemExit)
        self.take("d")
        self.assertEqual(self.runs[-1][0], "d")


class _Reactor(Clock):
    """Calls from threads are made when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.called = threading.Event()
        self.given: list[Any] = []

    def callFromThread(self, function: Any, *args: Any) -> None:
        self.given.append((function, args))
        self.called.set()

    def deliver(self) -> None:
        assert self.called.wait(5)
        self.called.clear()
        calls, self.given = self.given, []
        for function, args in calls:
            function(*args)


class ReaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = _Reactor()
        self.reader = Reader(self.reactor, limit_s=30.0)

    def test_in_a_thread(self) -> None:
        done = self.reader(threading.get_ident)
        self.assertNoResult(done)
        self.reactor.deliver()
        self.assertNotEqual(self.successResultOf(done), threading.get_ident())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_what_it_raises(self) -> None:
        def fail() -> None:
            raise ConfigError([])

        done = self.reader(fail)
        self.reactor.deliver()
        self.failureResultOf(done, ConfigError)

    def test_too_long(self) -> None:
        """Nobody waits for ever, and no second thread hangs beside the first; once it ends all is well again."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        done = self.reader(gate.wait)
        self.reactor.advance(30)
        error = self.failureResultOf(done, ConfigError).value
        self.assertIn("could not be read within 30 s", str(error))
        again = self.failureResultOf(self.reader(lambda: None), ConfigError).value
        self.assertIn("still hangs", str(again))
        gate.set()
        self.reactor.deliver()
        well = self.reader(lambda: 1)
        self.reactor.deliver()
        self.assertEqual(self.successResultOf(well), 1)
