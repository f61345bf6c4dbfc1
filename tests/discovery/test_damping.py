"""Tests of edgegw.discovery.damping."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery import damping as module
from edgegw.discovery.damping import FLAPPING, Damping
from edgegw.discovery.settings import DampingSettings
from edgegw.upstream.address import Named
from tests.discovery.doubles import a

NOW = {"s": 0.0}


def damping(**settings: float) -> Damping:
    """On a clock that the test moves."""
    NOW["s"] = 0.0
    return Damping(
        DampingSettings.model_construct(**{"changes": 3, "window": 60.0, "quiet": 30.0, **settings}), lambda: NOW["s"]
    )


def held(named: tuple[Named, ...]) -> list[str]:
    return [each.settings.url for each in named if each.held == FLAPPING]


class DampingTests(SynchronousTestCase):
    """Comings are counted, goings only renew."""

    def flap(self, damping: Damping, times: int, every_s: float = 1.0) -> None:
        for _ in range(times):
            NOW["s"] += every_s
            damping.seen(a(1, 2))
            damping.seen(a(1, 2, 3))

    def test_held_back(self) -> None:
        made = damping()
        made.seen(a(1, 2, 3))
        self.flap(made, 3)
        self.assertEqual(held(made.judge(a(1, 2, 3))), [])
        self.flap(made, 1)
        self.assertEqual(held(made.judge(a(1, 2, 3))), ["http://10.0.0.3:80"])

    def test_slow_ones_are_not(self) -> None:
        made = damping()
        made.seen(a(1, 2, 3))
        self.flap(made, 50, every_s=20.1)
        self.assertEqual(made.flapping, set())

    def test_quiet(self) -> None:
        made = damping()
        made.seen(a(1, 2, 3))
        self.flap(made, 4)
        NOW["s"] += 29
        made.forget()
        self.assertEqual(len(made.flapping), 1)
        NOW["s"] += 1
        made.forget()
        self.assertEqual(made.flapping, set())
        # One coming more starts the count anew.
        self.flap(made, 1)
        self.assertEqual(made.flapping, set())

    def test_a_source_that_holds_and_releases(self) -> None:
        """Ready, not ready, ready ... is flapping too."""
        made = damping()
        for _ in range(5):
            made.seen([*a(1, 2), *a(3, held="critical")])
            made.seen(a(1, 2, 3))
        self.assertEqual(len(made.flapping), 1)
        # Its own reason is better than ours.
        self.assertEqual(held(made.judge([*a(1, 2), *a(3, held="critical")])), [])

    def test_never_more_than_half(self) -> None:
        made = damping()
        for _ in range(6):
            made.seen(a(1))
            made.seen(a(1, 2, 3))
        self.assertEqual(len(made.flapping), 2)
        self.assertEqual(held(made.judge(a(1, 2, 3))), [])
        self.assertEqual(len(held(made.judge(a(1, 2, 3, 4)))), 2)

    def test_off(self) -> None:
        made = Damping(None, lambda: 0.0)
        for _ in range(50):
            made.seen(a(1, 2))
            made.seen(a(1, 2, 3))
        self.assertEqual(held(made.judge(a(1, 2, 3))), [])

    def test_forgets(self) -> None:
        """Addresses of pods never come back: what is known of them goes."""
        made = damping()
        made.seen([])
        for number in range(100):
            made.seen(a(number))
        self.assertEqual(len(made._moved_s), 100)
        NOW["s"] += 60
        made.forget()
        self.assertEqual((made._moved_s, made._comings), ({}, {}))

    def test_bounded(self) -> None:
        self.patch(module, "_KNOWN_MAX", 50)
        made = damping()
        made.seen([])
        for number in range(200):
            made.seen(a(number))
        self.assertLess(len(made._moved_s), 60)
        self.assertLess(len(made._comings), 60)

    @given(st.lists(st.tuples(st.sets(st.integers(1, 6)), st.floats(0, 40)), max_size=60))
    def test_never_takes_the_upstream_away(self, answers: list[tuple[set[int], float]]) -> None:
        made = damping()
        for present, wait_s in answers:
            NOW["s"] += wait_s
            made.forget()
            answer = a(*sorted(present))
            made.seen(answer)
            judged = made.judge(answer)
            self.assertEqual([each.settings for each in judged], [each.settings for each in answer])
            self.assertLessEqual(2 * len(held(judged)), len(answer))
