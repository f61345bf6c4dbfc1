"""Tests of edgegw.upstream.pool with connections that carry many exchanges, an HTTP/2 origin in memory behind them."""

from __future__ import annotations

import random
import traceback
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.net.call import Call
from edgegw.net.http2_upstream import STREAMS
from edgegw.testing.origin import Origin, answer, refused
from edgegw.upstream.pool import Pool, PoolSettings
from tests.net.http2_origin import Asked, Http2Origin, Wire

Waiting = Deferred[Any]


class Case(SynchronousTestCase):
    """A pool of one origin."""

    def pool(self, streams: int | None = None, width: int = 100, **settings: Any) -> Pool:
        self.origin = Http2Origin(streams=streams)
        self.made = Pool(PoolSettings(**settings), self.origin.wheel, self.origin.connect, width)
        return self.made

    def send(self, connection: Any) -> Waiting:
        sent: Waiting = connection.send(
            Call("GET", "/", [(b"host", b"Host", b"a")], None, 0, (15, 60), lambda head: None)
        )
        return sent

    def want(self, fresh: bool = False) -> Waiting:
        """A request, from the pool on: as the proxy does it."""
        taken = None if fresh else self.made.take()
        return self.send(taken) if taken is not None else self.made.connection().addCallback(lambda it: self.send(it))

    def finish(self, wire: Wire, sid: int) -> None:
        wire.answer(sid, b"x")

    def assert_counts(self, leased: int, idle: int, queued: int = 0, roomy: int = 0) -> None:
        pool = self.made
        self.assertEqual((pool.leased, pool.idle_count, pool.queued, pool.roomy), (leased, idle, queued, roomy))
        self.assertEqual(pool.open, leased + idle)

    def reason(self, waiting: Waiting) -> str:
        error: GatewayError = self.failureResultOf(waiting, GatewayError).value
        return error.reason

    def results(self, waiting: list[Waiting]) -> list[Any]:
        """Of those that are over."""
        found: list[Any] = []
        for each in waiting:
            each.addCallback(lambda result: (found.append(result), result)[1])
        return found

    def streams(self) -> list[int]:
        return [len(wire.asked) for wire in self.origin.wires]


class SharingTests(Case):
    def test_one_connection_carries_many(self) -> None:
        self.pool()
        for _ in range(50):
            self.want()
        self.assertEqual(self.streams(), [50])
        self.assert_counts(1, 0, roomy=1)

    def test_it_is_idle_when_nothing_is_on_it(self) -> None:
        self.pool()
        for _ in range(3):
            self.want()
        self.finish(self.origin.wires[0], 1)
        self.finish(self.origin.wires[0], 3)
        self.assert_counts(1, 0, roomy=1)
        self.finish(self.origin.wires[0], 5)
        self.assert_counts(0, 1)
        self.want()
        self.assert_counts(1, 0, roomy=1)
        self.assertEqual(self.streams(), [4])

    def test_a_full_one_is_not_handed_out_and_comes_back_when_a_stream_ends(self) -> None:
        self.pool(streams=2)
        for _ in range(3):
            self.want()
        self.assertEqual(self.streams(), [2, 1])
        self.assert_counts(2, 0, roomy=1)
        self.want()
        self.assert_counts(2, 0)
        self.assertIsNone(self.made.take())
        self.finish(self.origin.wires[0], 3)
        self.assert_counts(2, 0, roomy=1)
        self.want()
        self.assertEqual(self.streams(), [3, 2])

    def test_busy_ones_before_idle_ones(self) -> None:
        """Few connections with many streams: the others may rest and expire."""
        self.pool(streams=2)
        for _ in range(4):
            self.want()
        first, second = self.origin.wires
        self.finish(first, 1)
        self.finish(first, 3)
        self.finish(second, 1)
        self.assert_counts(1, 1, roomy=1)
        self.want()
        self.assertEqual(self.streams(), [2, 3])

    def test_one_stream_at_a_time_as_the_peer_wants(self) -> None:
        self.pool(streams=1, max=1)
        first, second, third = self.want(), self.want(), self.want()
        self.assert_counts(1, 0, queued=2)
        wire = self.origin.wires[0]
        self.finish(wire, 1)
        self.successResultOf(first)
        self.assertEqual(sorted(wire.asked), [1, 3])
        self.finish(wire, 3)
        self.finish(wire, 5)
        self.successResultOf(second)
        self.successResultOf(third)
        self.assert_counts(0, 1)

    def test_room_that_opens_serves_the_queue(self) -> None:
        self.pool(streams=1, max=1)
        depths: list[int] = []
        waiting = [self.want() for _ in range(200)]
        send = self.send
        self.send = lambda connection: (depths.append(depth()), send(connection))[1]  # type: ignore[method-assign]
        self.assert_counts(1, 0, queued=199)
        self.origin.wires[0].allow(1000)
        # Not one inside the other: that would be too deep.
        self.assertEqual(len(set(depths)), 1)
        self.assertEqual(self.streams(), [STREAMS])
        self.assert_counts(1, 0, queued=100)
        for sid in sorted(self.origin.wires[0].asked):
            self.finish(self.origin.wires[0], sid)
        self.assertEqual(self.streams(), [200])
        self.assertEqual([bool(self.results([each])) for each in waiting], [True] * 100 + [False] * 100)

    def test_the_queue_is_bounded_and_has_a_deadline(self) -> None:
        self.pool(streams=1, max=1, queue=1, queue_timeout="2s")
        self.want()
        waiting = self.want()
        self.assertEqual(self.reason(self.want()), "pool_queue_full")
        self.origin.turn(2.2)
        self.assertEqual(self.reason(waiting), "pool_queue_timeout")


class HerdTests(Case):
    """While a connection is being made, those who come wait for it."""

    def test_one_is_made_for_all(self) -> None:
        self.pool()
        self.origin.held = []
        for _ in range(80):
            self.want()
        self.assertEqual(len(self.origin.held), 1)
        self.assert_counts(1, 0, queued=79)
        self.origin.held.pop().callback(self.origin.accept())
        self.assertEqual(self.streams(), [80])
        self.assert_counts(1, 0, roomy=1)

    def test_as_many_as_it_will_carry(self) -> None:
        self.pool()
        self.origin.held = []
        for _ in range(250):
            self.want()
        self.assertEqual(len(self.origin.held), 3)
        for held in self.origin.held:
            held.callback(self.origin.accept())
        self.assertEqual(self.streams(), [100, 100, 50])
        self.assert_counts(3, 0, roomy=1)

    def test_it_is_learned_from_the_connection_before(self) -> None:
        self.pool(width=1, streams=10)
        self.origin.held = []
        for _ in range(2):
            self.want().addErrback(lambda _: None)
        self.assertEqual(len(self.origin.held), 2, "nobody knows yet")
        for held in self.origin.held:
            held.callback(self.origin.accept())
        for wire in self.origin.wires:
            wire.reset()
        self.origin.held = []
        for _ in range(25):
            self.want().addErrback(lambda _: None)
        self.assertEqual(len(self.origin.held), 3)

    def test_narrower_than_thought(self) -> None:
        """Those for whom there is no place get connections of their own."""
        self.pool(streams=2)
        self.origin.held = []
        for _ in range(5):
            self.want()
        self.assertEqual(len(self.origin.held), 1)
        self.origin.held.pop().callback(self.origin.accept())
        self.assertEqual(len(self.origin.held), 2)
        for held in self.origin.held:
            held.callback(self.origin.accept())
        self.assertEqual(self.streams(), [2, 2, 1])
        self.assert_counts(3, 0, roomy=1)

    def test_http1_after_all(self) -> None:
        """ALPN chose HTTP/1.1 this time: one connection each."""
        origin = Origin(answer(), answer(), answer())
        origin.held = []
        self.made = pool = Pool(PoolSettings(), origin.wheel, origin.connect, 100)
        waiting = [pool.connection().addCallback(self.send) for _ in range(3)]
        origin.held[0].callback(origin.accept())
        self.assertEqual(len(origin.held), 3)
        for held in origin.held[1:]:
            held.callback(origin.accept())
        origin.turn()
        self.assertEqual([self.successResultOf(each).status for each in waiting], [200] * 3)
        self.assert_counts(0, 3)

    def test_all_hear_that_it_could_not_be_made(self) -> None:
        self.pool()
        self.origin.held = []
        waiting = [self.want() for _ in range(5)]
        self.origin.held[0].errback(refused())
        self.assertEqual([self.reason(each) for each in waiting], ["connect_refused"] * 5)
        self.assertEqual(len(self.origin.held), 1)
        self.assert_counts(0, 0)
        self.origin.turn(5)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_each_hears_it_in_an_error_of_its_own(self) -> None:
        """What layers add for one exchange (CORS, for who asks) is no other's."""
        self.pool()
        self.origin.held = []
        waiting = [self.want() for _ in range(3)]
        for each in waiting:
            each.addErrback(
                lambda failure: setattr(failure.value, "headers", (*failure.value.headers, (b"A", b"1"))) or failure
            )
        self.origin.held[0].errback(refused())
        errors = [self.failureResultOf(each, GatewayError).value for each in waiting]
        self.assertEqual([error.headers for error in errors], [((b"A", b"1"),)] * 3)
        self.assertEqual({str(error) for error in errors}, {str(refused())})

    def test_who_can_wait_for_another_does(self) -> None:
        self.pool(streams=1, max=2)
        self.want()
        self.origin.held = []
        second, third = self.want(), self.want()
        self.origin.held[0].errback(refused())
        self.assertEqual(self.reason(second), "connect_refused")
        self.assertNoResult(third)
        self.assertEqual(len(self.origin.held), 2)

    def test_who_can_wait_for_room_does(self) -> None:
        self.pool(streams=2, max=2)
        self.want()
        self.want()
        self.origin.held = []
        third, fourth = self.want(), self.want()
        self.assertEqual(len(self.origin.held), 1)
        self.origin.held[0].errback(refused())
        self.assertEqual(self.reason(third), "connect_refused")
        self.assertNoResult(fourth)
        self.assertEqual(len(self.origin.held), 2)

    def test_a_torn_exchange_leaves_the_others_waiting(self) -> None:
        self.pool()
        self.origin.held = []
        first, second, third = self.want(), self.want(), self.want()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        # The attempt was the first one's; another is made for those who are left.
        self.origin.held[-1].callback(self.origin.accept())
        self.assertEqual((len(self.origin.held), self.streams()), (2, [1]))
        self.assertNoResult(third)

    def test_who_waits_for_one_that_comes_takes_no_place_in_the_queue(self) -> None:
        self.pool(queue=0, max=1, streams=3, width=3)
        self.origin.held = []
        wanted = [self.want() for _ in range(3)]
        self.assertEqual((len(self.origin.held), self.reason(self.want())), (1, "pool_queue_full"))
        self.origin.held[0].callback(self.origin.accept())
        self.assertEqual(self.streams(), [3])
        for each in wanted:
            self.assertIsNotNone(each)

    def test_waiting_has_its_deadline(self) -> None:
        self.pool(queue_timeout="1s")
        self.origin.held = []
        first, second = self.want(), self.want()
        self.origin.turn(1.2)
        self.assertNoResult(first)
        self.assertEqual(self.reason(second), "pool_queue_timeout")

    def test_one_that_went_away_at_once(self) -> None:
        """GOAWAY before the first stream: nothing was sent, all may be tried again."""
        self.pool()
        self.origin.held = []
        first, second = self.want(), self.want()
        connection = self.origin.accept()
        self.origin.wires[0].go_away(0)
        self.origin.held[0].callback(connection)
        self.assertEqual(self.reason(first), "upstream_refused_stream")
        self.assertEqual(len(self.origin.held), 2)
        self.origin.held[1].callback(self.origin.accept())
        self.assertNoResult(second)
        self.assertEqual(self.streams(), [0, 1])


class EndTests(Case):
    def test_expires_only_when_nothing_is_on_it(self) -> None:
        self.pool(idle_timeout="5s")
        self.want()
        self.origin.turn(8)
        self.assert_counts(1, 0, roomy=1)
        self.finish(self.origin.wires[0], 1)
        self.origin.turn(4.5)
        self.assert_counts(0, 1)
        self.origin.turn(1)
        self.assert_counts(0, 0)
        self.assertTrue(self.origin.wires[0].closed)

    def test_kept_up_to_the_cap(self) -> None:
        self.pool(streams=1, idle=1)
        self.want()
        self.want()
        for wire in self.origin.wires:
            self.finish(wire, 1)
        self.assert_counts(0, 1)
        self.assertEqual([wire.closed for wire in self.origin.wires], [False, True])

    def test_none_kept_is_still_shared(self) -> None:
        self.pool(idle=0)
        self.want()
        self.want()
        self.assertEqual(self.streams(), [2])
        self.finish(self.origin.wires[0], 1)
        self.assert_counts(1, 0, roomy=1)
        self.finish(self.origin.wires[0], 3)
        self.assert_counts(0, 0)

    def test_goaway_frees_the_place_at_once(self) -> None:
        self.pool(max=1)
        first = self.want()
        self.origin.wires[0].go_away(1)
        self.assert_counts(0, 0)
        self.want()
        self.assertEqual(self.streams(), [1, 1])
        self.finish(self.origin.wires[0], 1)
        self.successResultOf(first)
        self.assertTrue(self.origin.wires[0].closed)

    def test_a_loss_makes_room(self) -> None:
        self.pool(streams=1, max=1)
        first, second = self.want(), self.want()
        self.origin.wires[0].reset()
        self.assertEqual(self.reason(first), "upstream_reset")
        self.assertNoResult(second)
        self.assertEqual(self.streams(), [1, 1])

    def test_a_retry_distrusts_what_there_is_but_not_beyond_the_cap(self) -> None:
        self.pool(max=2)
        self.want()
        self.want(fresh=True)
        self.assertEqual(self.streams(), [1, 1])
        self.want(fresh=True)
        self.assertEqual(sum(self.streams()), 3)
        self.assert_counts(2, 0, roomy=2)

    def test_closed_with_streams(self) -> None:
        self.pool(streams=2)
        answered = [self.want() for _ in range(3)]
        self.made.close()
        self.assert_counts(1, 0)
        self.assertEqual([wire.closed for wire in self.origin.wires], [False, False])
        self.finish(self.origin.wires[1], 1)
        self.finish(self.origin.wires[0], 1)
        self.assertIsNone(self.made.take(), "room that comes is not for others")
        self.finish(self.origin.wires[0], 3)
        self.assertEqual([self.successResultOf(each).status for each in answered], [200] * 3)
        self.assertEqual([wire.closed for wire in self.origin.wires], [True, True])
        self.assert_counts(0, 0)

    def test_repr(self) -> None:
        self.pool()
        self.want()
        self.assertEqual(repr(self.made), "<Pool 1 leased (1 with room), 0 idle, 0 queued>")


class AccountTests(Case):
    """Whatever happens in whatever order, the counts say what is there, and nobody waits for nothing."""

    def test_any_order_of_events(self) -> None:
        for seed in range(60):
            self._play(random.Random(seed))

    def _play(self, dice: random.Random) -> None:
        self.pool(streams=3, max=3, idle=2, queue=6, queue_timeout="1s", idle_timeout="2s", width=3)
        pool = self.made
        self.origin.held = []
        wanted: list[Waiting] = []
        for _ in range(200):
            self._act(dice, wanted)
            connecting = sum(1 for each in self.origin.held if not each.called)
            alive = [wire.protocol for wire in self.origin.wires if wire.protocol.owner is pool]
            busy = [each for each in alive if each.busy]
            self.assertEqual((pool.leased, pool.idle_count), (len(busy) + connecting, len(alive) - len(busy)))
            self.assertEqual(pool.roomy, sum(1 for each in busy if each.room))
            self.assertLessEqual(pool.open, 3)
            # Beside the queue itself: those who rely on connections that are being made.
            self.assertLessEqual(pool.queued, 6 + 2 * 3)
            # Those who want a new one may wait for it though there is room elsewhere.
            room = pool.idle_count or pool.roomy or pool.open < 3
            self.assertFalse(pool.queued > 2 * connecting and room, "somebody waits beside a free place")
        self._settle(wanted)

    def _act(self, dice: random.Random, wanted: list[Waiting]) -> None:
        what = dice.randrange(9)
        held = [each for each in self.origin.held or [] if not each.called]
        live = [wire for wire in self.origin.wires if not (wire.lost or wire.closed or wire.aborted)]
        running = [(wire, each) for wire in live for each in wire.asked.values() if _runs(each, wire)]
        if what <= 3:
            wanted.append(self.want(dice.random() < 0.2).addBoth(lambda _: "over"))
        elif what == 4 and held:
            each = dice.choice(held)
            each.callback(self.origin.accept()) if dice.random() < 0.7 else each.errback(refused())
        elif what == 5 and running:
            wire, asked = dice.choice(running)
            dice.choice([self.finish, Wire.reset_stream])(wire, asked.sid)
        elif what == 6 and wanted:
            wanted.pop(dice.randrange(len(wanted))).cancel()
        elif what == 7 and live:
            wire = dice.choice(live)
            dice.choice(
                [wire.close, wire.reset, lambda: wire.go_away(2**31 - 1), lambda: wire.allow(dice.choice([2, 3]))]
            )()
        elif what == 8:
            self.origin.turn(dice.choice([0, 0.3, 1.5]))

    def _settle(self, wanted: list[Waiting]) -> None:
        for _ in range(12):
            for wire in self.origin.wires:
                wire.reset()
            for each in [each for each in self.origin.held or [] if not each.called]:
                each.errback(refused())
        pool = self.made
        self.assertEqual((pool.open, pool.idle_count, pool.queued, pool.roomy), (0, 0, 0, 0))
        self.assertEqual(len(self.results(wanted)), len(wanted))
        self.assertEqual(self.flushLoggedErrors(), [])


def depth() -> int:
    """Frames on the stack."""
    return len(traceback.extract_stack())


def _runs(asked: Asked, wire: Wire) -> bool:
    return asked.reset is None and asked.sid in wire.h2.streams and not wire.h2.streams[asked.sid].closed
