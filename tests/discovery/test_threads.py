"""Tests of edgegw.discovery.threads."""

from __future__ import annotations

import threading

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from edgegw.discovery.threads import in_thread


class ThreadTests(TestCase):
    """Where a call runs."""

    async def test_beside_the_loop(self) -> None:
        self.assertIsNot(await in_thread(reactor, threading.current_thread), threading.current_thread())

    def test_on_a_clock(self) -> None:
        self.assertIs(self.successResultOf(in_thread(Clock(), threading.current_thread)), threading.current_thread())

    def test_failure(self) -> None:
        self.failureResultOf(in_thread(Clock(), lambda: 1 / 0), ZeroDivisionError)
