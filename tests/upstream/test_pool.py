"""Tests of edgegw.upstream.pool, over connections in memory."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Retry, Side
from edgegw.net.call import Call
from edgegw.net.upstream import Http1Upstream
from edgegw.testing.origin import Origin, answer, refused
from edgegw.upstream.pool import Pool, PoolSettings

CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Case(SynchronousTestCase):
    """A pool of one origin."""

    def pool(self, **settings: Any) -> Pool:
        self.origin = Origin()
        self.made = Pool(PoolSettings(**settings), self.origin.wheel, self.origin.connect)
        return self.made

    def get(self) -> Http1Upstream:
        return self.made.take() or self.successResultOf(self.made.connection())

    def use(self, connection: Http1Upstream) -> Deferred[Any]:
        call = Call("GET", "/", [(b"host", b"Host", b"a")], None, 0, (15, 60), lambda head: None)
        return connection.send(call)

    def serve(self, connection: Http1Upstream, data: bytes = answer()) -> None:
        """One whole exchange on it."""
        answered = self.use(connection)
        self.wire(connection).send(data)
        self.successResultOf(answered)

    def wire(self, connection: Http1Upstream) -> Any:
        return connection.transport

    def assert_counts(self, leased: int, idle: int, queued: int = 0) -> None:
        pool = self.made
        self.assertEqual((pool.leased, pool.idle_count, pool.queued), (leased, idle, queued))
        self.assertEqual(pool.open, leased + idle)

    def error(self, waiting: Deferred[Any]) -> GatewayError:
        return self.failureResultOf(waiting, GatewayError).value


class IdleTests(Case):
    def test_latest_used_first(self) -> None:
        self.pool()
        first, second = self.get(), self.get()
        self.assert_counts(2, 0)
        self.serve(first)
        self.serve(second)
        self.assert_counts(0, 2)
        self.assertIs(self.made.take(), second)
        self.assertIs(self.made.take(), first)
        self.assertIsNone(self.made.take())
        self.assert_counts(2, 0)

    def test_kept_up_to_the_cap(self) -> None:
        self.pool(idle=1)
        first, second = self.get(), self.get()
        self.serve(first)
        self.serve(second)
        self.assert_counts(0, 1)
        self.assertTrue(self.wire(second).closed)

    def test_none_kept(self) -> None:
        self.pool(idle=0)
        self.serve(self.get())
        self.assert_counts(0, 0)

    def test_expires(self) -> None:
        self.pool(idle_timeout="5s")
        self.serve(self.get())
        self.origin.turn(4.5)
        self.assert_counts(0, 1)
        self.origin.turn(1)
        self.assert_counts(0, 0)
        self.assertTrue(self.wire(self.origin.connections[0].protocol).closed)

    def test_use_starts_the_time_anew(self) -> None:
        self.pool(idle_timeout="5s")
        connection = self.get()
        for _ in range(4):
            self.serve(connection)
            self.origin.turn(4)
            self.assertIs(self.made.take(), connection)

    def test_dead_or_spoilt_ones_are_never_handed_out(self) -> None:
        for spoil in ("close", "reset", "send"):
            self.pool()
            connection = self.get()
            self.serve(connection)
            wire = self.wire(connection)
            wire.send(b"HTTP/1.1 408 Timeout\r\n\r\n") if spoil == "send" else getattr(wire, spoil)()
            # Not a turn later: now.
            self.assertIsNone(self.made.take(), spoil)
            self.assert_counts(0, 0)

    def test_an_answer_that_closes_frees_its_place(self) -> None:
        self.pool(max=1)
        self.serve(self.get(), CLOSING)
        self.assert_counts(0, 0)
        self.serve(self.get())
        self.assert_counts(0, 1)


class CapTests(Case):
    def test_queue_in_order(self) -> None:
        self.pool(max=1)
        connection = self.get()
        first, second = self.made.connection(), self.made.connection()
        self.assert_counts(1, 0, 2)
        self.serve(connection)
        self.assertIs(self.successResultOf(first), connection)
        self.assertNoResult(second)
        self.serve(connection)
        self.assertIs(self.successResultOf(second), connection)
        self.assert_counts(1, 0)

    def test_full_queue(self) -> None:
        self.pool(max=1, queue=1)
        self.get()
        self.made.connection()
        error = self.error(self.made.connection())
        self.assertEqual((error.status, error.reason), (503, "pool_queue_full"))
        self.assertIn((b"Retry-After", b"1"), error.headers)
        self.assert_counts(1, 0, 1)

    def test_no_queue(self) -> None:
        self.pool(max=1, queue=0)
        self.get()
        self.assertEqual(self.error(self.made.connection()).reason, "pool_queue_full")

    def test_waits_so_long(self) -> None:
        self.pool(max=1, queue_timeout="2s")
        connection = self.get()
        waiting = self.made.connection()
        self.origin.turn(1.8)
        self.assertNoResult(waiting)
        self.origin.turn(0.4)
        error = self.error(waiting)
        self.assertEqual((error.status, error.reason), (503, "pool_queue_timeout"))
        self.assert_counts(1, 0, 0)
        self.serve(connection)
        self.assert_counts(0, 1)

    def test_a_lost_connection_makes_room(self) -> None:
        self.pool(max=1)
        connection = self.get()
        waiting = self.made.connection()
        self.wire(connection).reset()
        self.assertIsNot(self.successResultOf(waiting), connection)
        self.assert_counts(1, 0)

    def test_a_new_one_takes_the_place_of_the_oldest_idle(self) -> None:
        self.pool(max=2)
        old, new = self.get(), self.get()
        self.serve(old)
        self.serve(new)
        fresh = self.successResultOf(self.made.connection())
        self.assertNotIn(fresh, (old, new))
        self.assertTrue(self.wire(old).closed)
        self.assert_counts(1, 1)
        self.assertIs(self.made.take(), new)


class ConnectTests(Case):
    def test_failure_frees_the_place(self) -> None:
        self.pool(max=1)
        self.origin.faults = [refused()]
        self.assertEqual(self.error(self.made.connection()).reason, "connect_refused")
        self.assert_counts(0, 0)

    def test_queue_is_served_after_a_failure(self) -> None:
        self.pool(max=1)
        self.origin.held = []
        first, second = self.made.connection(), self.made.connection()
        self.origin.held.pop().errback(refused())
        self.assertEqual(self.error(first).reason, "connect_refused")
        self.assertNoResult(second)
        self.origin.held.pop().callback(self.origin.accept())
        self.successResultOf(second)
        self.assert_counts(1, 0)

    def test_a_long_queue_drains_when_every_attempt_fails(self) -> None:
        self.pool(max=1, queue=5000)
        self.origin.held = []
        waiting = [self.made.connection() for _ in range(3000)]
        holding, self.origin.held = self.origin.held, None
        self.origin.faults = [refused() for _ in range(3000)]
        holding[0].errback(refused())
        self.assertEqual({self.error(each).reason for each in waiting}, {"connect_refused"})
        self.assert_counts(0, 0, 0)

    def test_a_connection_that_died_at_once(self) -> None:
        self.pool()
        dead = self.origin.accept()
        self.wire(dead).reset()
        pool = Pool(PoolSettings(), self.origin.wheel, lambda: succeed(dead))
        error = self.error(pool.connection())
        self.assertEqual((error.side, error.retry), (Side.UPSTREAM, Retry.ALWAYS))
        self.assertEqual(pool.open, 0)

    def test_closed_while_connecting(self) -> None:
        self.pool()
        self.origin.held = []
        waiting = self.made.connection()
        self.made.close()
        self.origin.held.pop().callback(self.origin.accept())
        connection = self.successResultOf(waiting)
        self.serve(connection)
        self.assert_counts(0, 0)


class CancelTests(Case):
    def test_while_connecting(self) -> None:
        self.pool(max=1)
        self.origin.held = []
        waiting = self.made.connection()
        second = self.made.connection()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        # The place went to the next in the queue.
        self.assertEqual(len(self.origin.held), 2)
        self.origin.held.pop().callback(self.origin.accept())
        self.successResultOf(second)
        self.assert_counts(1, 0)

    def test_while_queued(self) -> None:
        self.pool(max=1, queue_timeout="1s")
        connection = self.get()
        first, second = self.made.connection(), self.made.connection()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assert_counts(1, 0, 1)
        self.serve(connection)
        self.successResultOf(second)
        self.origin.turn(2)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_out_of_the_queue_and_connecting(self) -> None:
        self.pool(max=1)
        connection = self.get()
        waiting = self.made.connection()
        self.origin.held = []
        self.wire(connection).reset()
        self.assert_counts(1, 0)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assert_counts(0, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_connection_that_comes_too_late_is_kept_for_others(self) -> None:
        self.pool(max=1)
        connection = self.get()
        waiting = self.made.connection()
        stubborn: Deferred[Http1Upstream] = Deferred(lambda _: stubborn.callback(self.origin.accept()))
        self.made._connect = lambda: stubborn
        self.wire(connection).reset()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assert_counts(0, 1)
        self.assertEqual(self.flushLoggedErrors(), [])


class CloseTests(Case):
    def test_idle_ones_go_and_leased_ones_finish(self) -> None:
        self.pool()
        idle, busy = self.get(), self.get()
        self.serve(idle)
        answered = self.use(busy)
        self.made.close()
        self.assertTrue(self.wire(idle).closed)
        self.assert_counts(1, 0)
        self.wire(busy).send(answer(b"x"))
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"x")
        self.assertTrue(self.wire(busy).closed)
        self.assert_counts(0, 0)

    def test_the_queue_is_still_served(self) -> None:
        self.pool(max=1)
        connection = self.get()
        waiting = self.made.connection()
        self.made.close()
        self.serve(connection)
        self.successResultOf(waiting)

    def test_repr(self) -> None:
        self.pool()
        self.get()
        self.made.close()
        self.assertEqual(repr(self.made), "<Pool 1 leased, 0 idle, 0 queued, closed>")


class AccountTests(Case):
    """Whatever happens in whatever order, the counts say what is there, and nobody waits for nothing."""

    def test_any_order_of_events(self) -> None:
        for seed in range(60):
            self._play(random.Random(seed))

    def _play(self, dice: random.Random) -> None:
        pool = self.pool(max=3, idle=2, queue=4, queue_timeout="1s", idle_timeout="2s")
        self.origin.held = []
        wanted: list[Deferred[Http1Upstream]] = []
        leased: list[Http1Upstream] = []

        def got(connection: Http1Upstream) -> None:
            leased.append(connection)
            self.use(connection).addBoth(lambda _: leased.remove(connection))

        for _ in range(150):
            self._act(dice, pool, wanted, leased, got)
            held = sum(1 for each in self.origin.held if not each.called)
            self.assertEqual(pool.leased, len(leased) + held)
            self.assertLessEqual(pool.open, 3)
            self.assertLessEqual(pool.queued, 4)
            self.assertFalse(pool.queued and (pool.idle_count or pool.open < 3), "somebody waits beside a free place")
        self._settle(pool, leased)

    def _act(self, dice: random.Random, pool: Pool, wanted: list[Any], leased: list[Http1Upstream], got: Any) -> None:
        what = dice.randrange(8)
        open_ones = [each for each in self.origin.held or [] if not each.called]
        if what <= 2:
            taken = pool.take() if dice.random() < 0.7 else None
            if taken is not None:
                got(taken)
            else:
                wanted.append(pool.connection().addCallbacks(got, lambda _: None))
        elif what == 3 and open_ones:
            each = dice.choice(open_ones)
            each.callback(self.origin.accept()) if dice.random() < 0.6 else each.errback(refused())
        elif what == 4 and leased:
            self.wire(dice.choice(leased)).send(dice.choice([answer(b"x"), CLOSING, b"garbage\r\n"]))
        elif what == 5 and wanted:
            wanted.pop(dice.randrange(len(wanted))).cancel()
        elif what == 6 and self.origin.connections:
            wire = dice.choice(self.origin.connections)
            dice.choice([wire.close, wire.reset])()
        elif what == 7:
            self.origin.turn(dice.choice([0, 0.3, 1.5]))

    def _settle(self, pool: Pool, leased: list[Http1Upstream]) -> None:
        # Each loss makes room for one who waits, who then fails to connect.
        for _ in range(10):
            for wire in self.origin.connections:
                wire.reset()
            for each in [each for each in self.origin.held or [] if not each.called]:
                each.errback(refused())
        self.assertEqual((pool.open, pool.idle_count, pool.queued, leased), (0, 0, 0, []))
        self.assertEqual(self.flushLoggedErrors(), [])
