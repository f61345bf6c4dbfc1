"""Whatever happens to a breaker, in whatever order: what it promises holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from tests.upstream.test_breaker import Bench


class Machine(RuleBasedStateMachine):
    """A breaker, and beside it a plain account of what was admitted when."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(failures=3, min_requests=6, window="4s", refuse="2s", max_refuse="8s", probes=2)
        self.breaker = self.bench.breaker
        self.under_way: list[tuple[int, int]] = []
        self.settled: list[int] = []

    @property
    def now_s(self) -> float:
        return self.bench.origin.clock.seconds()

    @property
    def changes(self) -> int:
        return len(self.bench.said)

    @rule()
    def admit(self) -> None:
        left_s, refusing = self.breaker.left_s, self.breaker.state == "refusing"
        try:
            token = self.breaker.admit()
        except GatewayError as error:
            assert self.breaker.state != "admitting"
            wait = int(error.headers[0][1])
            assert wait >= 1 and (not refusing or left_s <= wait < left_s + 1 or left_s < 1)
        else:
            # Refuses exactly while refusing.
            assert not refusing or left_s == 0
            assert self.breaker.state != "refusing"
            self.under_way.append((token, self.changes))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), ok=st.sampled_from([True, False, False, None]))
    def settle(self, data: st.DataObject, ok: bool | None) -> None:
        token, since = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        before, changes = self.breaker.state, self.changes
        self.breaker.settle(token, ok)
        if since != changes:
            assert (self.breaker.state, self.changes) == (before, changes), "a token of an earlier state counted"
        elif before == "probing" and ok is False:
            assert self.breaker.state == "refusing"
        elif ok is None:
            assert self.changes == changes
        self.settled.append(token)

    @precondition(lambda self: self.settled)
    @rule(data=st.data())
    def ended(self, data: st.DataObject) -> None:
        token = self.settled.pop(data.draw(st.integers(0, len(self.settled) - 1)))
        self.breaker.ended(token, data.draw(st.booleans()), data.draw(st.sampled_from([0.0, 1.0, 9.0])))

    @rule()
    def nudge(self) -> None:
        before = self.breaker.state
        self.breaker.nudge()
        assert self.breaker.state == before or (before, self.breaker.state) == ("refusing", "probing")

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        assert self.breaker.state == "admitting"

    @rule(tenths=st.integers(1, 30))
    def wait(self, tenths: int) -> None:
        self.bench.waits(tenths / 10)

    @invariant()
    def never_more_probes_than_allowed(self) -> None:
        if self.breaker.state == "probing":
            probes = [token for token, since in self.under_way if since == self.changes]
            assert len(probes) <= 2, probes

    @invariant()
    def it_says_what_it_does(self) -> None:
        assert self.breaker.state == (self.bench.states[-1] if self.bench.said else "admitting")
        moves = set(zip(["admitting", *self.bench.states], self.bench.states, strict=False))
        assert all(before != after for before, after in moves), moves
        assert ("admitting", "probing") not in moves
        assert self.breaker.left_s <= 8

    @invariant()
    def it_never_refuses_for_ever(self) -> None:
        assert self.breaker.state != "refusing" or self.breaker.left_s > -0.2


class WindowTests(SynchronousTestCase):
    @profile(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=60))
    def test_it_slides(self, events: list[tuple[int, bool]]) -> None:
        """Against an account of every attempt: what happened within the last ten seconds, by whole seconds."""
        bench = Bench(failures=0, ratio="off")
        seen: list[tuple[int, bool]] = []
        for tenths, ok in events:
            bench.waits(tenths / 10)
            bench.tries(ok)
            seen.append((bench.tenths // 10, ok))
            counted = [each for at, each in seen if at > bench.tenths // 10 - 10]
            self.assertIn(f" {counted.count(False)} of {len(counted)} failed", repr(bench.breaker))

    def test_what_is_older_does_not_break_it(self) -> None:
        """Nobody looks at the breaker in between: traffic alone moves its window."""
        bench = Bench()
        for _ in range(3):
            bench.tries(*[True, False] * 5)
            self.assertIsNone(bench.refusal())
            bench.waits(11)


class MachineTests(SynchronousTestCase):
    def test_it(self) -> None:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            Machine, settings=profile(max_examples=100, stateful_step_count=50, deadline=None)
        )
