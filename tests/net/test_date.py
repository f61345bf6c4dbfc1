"""Tests of edgegw.net.date."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.date import HttpDate
from edgegw.runtime.wheel import Wheel


class HttpDateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.wheel.start()
        self.wall_s = 784111777.25
        self.asked = 0
        self.date = HttpDate(self.wheel, self.wall)

    def wall(self) -> float:
        self.asked += 1
        return self.wall_s + self.clock.seconds()

    def test_format_of_rfc_9110(self) -> None:
        self.assertEqual(self.date(), (b"date", b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT"))

    def test_made_once_a_second_and_on_the_second(self) -> None:
        self.date()
        for _ in range(5):
            self.clock.advance(0.125)
            self.assertEqual(self.date()[2][-6:], b"37 GMT")
        self.assertEqual(self.asked, 1)
        self.clock.advance(0.25)
        self.assertEqual(self.date()[2][-6:], b"38 GMT")
        self.assertEqual(self.asked, 2)

    def test_wall_clock_that_jumps_back(self) -> None:
        self.date()
        self.wall_s -= 3600
        self.clock.advance(0.875)
        self.assertEqual(self.date()[2], b"Sun, 06 Nov 1994 07:49:38 GMT")
