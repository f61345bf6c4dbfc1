"""Tests of edgegw.upstream.outlier: answers that began well, and how they end."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.standing import Hold
from tests.upstream.test_outlier import TORN, Scene


class EndTests(SynchronousTestCase):
    def test_bodies_that_break_off(self) -> None:
        """Each has a good head before it, which is no success; however many are under way at once."""
        for at_once in (1, 2, 4):
            scene = Scene(min_requests=1000)
            for number in range(5):
                if number % at_once == 0:
                    for _ in range(at_once):
                        scene.endpoints[0].answered(200, 0.1, whole=False)
                self.assertEqual(scene.ejected(), [], number)
                scene.endpoints[0].failed(TORN)
            self.assertEqual(scene.ejected(), [0])
        scene = Scene(consecutive=0)
        for _ in range(10):
            scene.endpoints[0].answered(200, 0.1)
            scene.endpoints[0].answered(200, 0.1)
            scene.endpoints[0].failed(TORN)
        self.assertEqual(scene.ejected(), [0])
        self.assertIn("10 of 20 attempts", scene.endpoints[0].standing.reasons[Hold.EJECTED])

    def test_one_that_comes_whole_ends_the_row(self) -> None:
        for later in (False, True):
            scene = Scene(failure_rate="0%")
            first = scene.endpoints[0]
            for _ in range(20):
                for _ in range(4):
                    first.answered(200, 0.1, whole=False)
                    first.failed(TORN)
                first.answered(200, 0.1, whole=not later)
                if later:
                    first.ended(200, 200, 0.5)
            self.assertEqual(scene.ejected(), [])

    def test_answers_that_end_badly(self) -> None:
        """Calls whose trailers say so."""
        for number in (1, 2):
            scene = Scene(failure_rate="0%" if number == 1 else "50%", consecutive=5 if number == 1 else 0)
            first = scene.endpoints[0]
            for _ in range(5 if number == 1 else 20):
                self.assertEqual(scene.ejected(), [])
                first.answered(200, 0.1, whole=False)
                first.ended(200, 503, 0.5)
            self.assertEqual(scene.ejected(), [0])
        self.assertIn("20 of 20 attempts", first.standing.reasons[Hold.EJECTED])

    def test_what_began_badly_is_counted_once(self) -> None:
        scene = Scene()
        for _ in range(4):
            scene.endpoints[0].answered(500, 0.1, whole=False)
            scene.endpoints[0].ended(500, 500, 0.5)
        self.assertEqual(scene.ejected(), [])
        scene.endpoints[0].answered(500, 0.1)
        self.assertEqual(scene.ejected(), [0], "its end is no success either")

    def test_streams_that_had_gone_well_for_long_are_no_row(self) -> None:
        """They count for the rate alone, which has a minimum."""
        for lasted_s, ejected in ((9.0, [0]), (11.0, [])):
            scene = Scene()
            for _ in range(9):
                scene.endpoints[0].answered(200, 0.1, whole=False)
            for turn in range(9):
                if turn % 2:
                    scene.endpoints[0].failed(TORN, lasted_s)
                else:
                    scene.endpoints[0].ended(200, 503, lasted_s)
            self.assertEqual(scene.ejected(), ejected)
