"""Threads for slow disks: one pool per reactor, stopped with it; a clock without threads calls at once."""

import threading

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.targets.threads import SIZE, threads_of


class FakeReactor(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.stopping: list[object] = []
        self.called = threading.Event()
        self.queue: list[tuple[object, tuple[object, ...]]] = []

    def callFromThread(self, function: object, *args: object) -> None:
        self.queue.append((function, args))
        self.called.set()

    def addSystemEventTrigger(self, phase: str, event: str, stop: object) -> None:
        self.stopping.append(stop)

    def pump(self) -> None:
        self.called.wait(5)
        self.called.clear()
        while self.queue:
            function, args = self.queue.pop(0)
            function(*args)  # type: ignore[operator]


class Running(SynchronousTestCase):
    def test_one_pool_for_all_targets_of_a_reactor(self) -> None:
        reactor = FakeReactor()
        self.assertEqual(reactor.stopping, [])
        names = []
        for _ in range(3):
            waiting: Deferred[str] = threads_of(reactor)(lambda: threading.current_thread().name)
            waiting.addCallback(names.append)
            reactor.pump()
        self.assertEqual(len(names), 3)
        self.assertTrue(all("edgegw-files" in name for name in names))
        (stop,) = reactor.stopping
        stop()  # type: ignore[operator]
        self.assertLessEqual(len(set(names)), SIZE)

    def test_without_threads(self) -> None:
        run = threads_of(Clock())
        self.assertEqual(self.successResultOf(run(lambda a: a + 1, 1)), 2)

        def fail() -> None:
            raise OSError("no")

        self.failureResultOf(run(fail), OSError)
