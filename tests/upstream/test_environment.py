"""Tests of edgegw.upstream.environment."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.runtime.wheel import Wheel
from edgegw.upstream.environment import Environment


class EnvironmentTests(SynchronousTestCase):
    def test_time_is_that_of_the_loop(self) -> None:
        clock = Clock()
        made = Environment(clock, Wheel(clock), None)  # type: ignore[arg-type]
        clock.advance(3)
        self.assertEqual(made.seconds(), 3)

    def test_secrets_are_not_shown(self) -> None:
        clock = Clock()
        made = Environment(clock, Wheel(clock), None)  # type: ignore[arg-type]
        self.assertEqual(len(made.secret), 32)
        self.assertNotIn("secret", repr(made))
