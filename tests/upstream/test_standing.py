"""Tests of edgegw.upstream.standing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.standing import DOUBTS, Hold, Standing


class StandingTests(SynchronousTestCase):
    def test_free_while_nobody_holds_it(self) -> None:
        standing = Standing()
        self.assertEqual((standing.free, standing.usable, standing.state), (True, True, "ready"))
        self.assertTrue(standing.hold(Hold.FAILING, "500"))
        self.assertFalse(standing.hold(Hold.FAILING, "connect_refused"), "that is not new")
        self.assertEqual(standing.reasons, {Hold.FAILING: "connect_refused"})
        self.assertEqual((standing.free, standing.usable, standing.state), (False, True, "failing"))
        self.assertTrue(standing.release(Hold.FAILING))
        self.assertFalse(standing.release(Hold.FAILING))
        self.assertTrue(standing.free)

    def test_the_weightiest_word(self) -> None:
        standing = Standing()
        for hold in (Hold.DRAINED, Hold.PENDING, Hold.EJECTED):
            standing.hold(hold, "x")
        self.assertEqual(standing.state, "drained")
        self.assertIn("ejected: x", repr(standing))

    @given(st.lists(st.tuples(st.sampled_from(list(Hold)), st.booleans())))
    def test_whatever_happens(self, steps: list[tuple[Hold, bool]]) -> None:
        standing, held = Standing(), set()
        for hold, begins in steps:
            if begins:
                standing.hold(hold, "x")
                held.add(hold)
            else:
                standing.release(hold)
                held.discard(hold)
            self.assertEqual(standing.free, not held)
            self.assertEqual(standing.usable, held <= DOUBTS)
