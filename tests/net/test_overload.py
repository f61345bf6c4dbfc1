"""What a listener does on each rung of the ladder of `edgegw.runtime.overload`, on connections in memory; then drill R10."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.shedding import Shedding
from edgegw.net.listener import ConnectionCap
from edgegw.net.opening import Opening
from edgegw.net.proxied import Proxied
from edgegw.observe.metrics import Registry
from edgegw.runtime.overload import TICK_S, Overload, OverloadSettings
from edgegw.testing.downstream import Desk, answer, request
from edgegw.testing.http2 import Http2Desk
from edgegw.testing.memory import MemoryTransport
from tests.net.test_listener import Street

OK = answer("200 OK", "Content-Length: 0")
OK_CLOSE = answer("200 OK", "Content-Length: 0", "Connection: close")
ANY_STREAM = 2**31 - 1


class Meter:
    """Memory, as the test says."""

    used = 0.0

    def share(self) -> float:
        return self.used

    def own_share(self) -> float:
        return self.used

    def refresh(self) -> None:
        pass


def ok(_: Exchange) -> Response:
    return Response(200)


class Case(SynchronousTestCase):
    """A listener whose process is as short of memory as the test says, wired as the gateway does it."""

    def setUp(self) -> None:
        self.meter = Meter()
        self.time = Clock()
        self.overload = Overload(
            self.time.seconds, Registry(), OverloadSettings(), lambda _: self.meter, lambda: None, random.Random(5)
        )

    def watch(self, desk: Any) -> Any:
        listener = desk.listener
        terms = getattr(desk, "desk", desk).terms
        listener.apply(terms._replace(concessions=self.overload))
        self.overload.follow(lambda *_: listener.pressed())
        return desk

    def uses(self, share: float) -> None:
        self.meter.used = share
        self.time.advance(TICK_S)
        self.overload.tick()


class IdleTests(Case):
    """85 %."""

    def test_kept_half_as_long(self) -> None:
        self.uses(0.86)
        desk = self.watch(Desk(ok)).says(request()).hears(OK).waits(37.2)
        self.assertEqual(desk.ended, [])
        desk.waits(0.5)
        self.assertEqual(desk.ended, ["lose"])

    def test_those_that_are_idle_already(self) -> None:
        """What they hold is what is to be freed: they do not get the time that they were promised before."""
        desk = self.watch(Desk(ok)).says(request()).hears(OK).waits(10)
        self.uses(0.86)
        desk.waits(37.2)
        self.assertEqual(desk.ended, [])
        desk.waits(0.5)
        self.assertEqual(desk.ended, ["lose"])

    def test_less_and_less(self) -> None:
        desk = self.watch(Desk(ok)).says(request()).hears(OK).waits(10)
        self.uses(0.86)
        self.uses(0.93)
        desk.waits(14.8)
        self.assertEqual(desk.ended, [])
        desk.waits(0.5)
        self.assertEqual(desk.ended, ["lose"])

    def test_never_longer_than_before(self) -> None:
        desk = self.watch(Desk(ok)).says(request()).hears(OK).waits(74.5)
        self.uses(0.86)
        desk.waits(0.8)
        self.assertEqual(desk.ended, ["lose"])

    def test_over_again(self) -> None:
        self.uses(0.86)
        self.uses(0.5)
        desk = self.watch(Desk(ok)).says(request()).hears(OK).waits(74.5)
        self.assertEqual(desk.ended, [])

    def test_not_while_an_exchange_runs(self) -> None:
        desk = self.watch(Desk()).says(request())
        self.uses(0.93)
        desk.waits(100).replies(Response(200)).hears(OK_CLOSE)

    def test_not_while_a_head_comes(self) -> None:
        desk = self.watch(Desk(ok)).says(b"GET / HT")
        self.uses(0.98)
        desk.waits(9).says(request()[8:]).hears(OK_CLOSE)

    def test_http2(self) -> None:
        desk = self.watch(Http2Desk(ok))
        desk.asks()
        self.uses(0.86)
        desk.waits(37)
        self.assertEqual(desk.goaways(), [])
        desk.waits(1)
        self.assertEqual((len(desk.goaways()), desk.ended), (1, ["lose"]))

    def test_one_that_has_said_nothing(self) -> None:
        desk = self.watch(Desk())
        silent = Opening(desk.listener, "192.0.2.9", 1, 80)
        transport = MemoryTransport(silent, "192.0.2.9")
        transport.connect()
        self.uses(0.86)
        desk.waits(38)
        self.assertEqual(transport.ended, ["lose"])

    def test_one_that_is_to_be_introduced(self) -> None:
        """Its own deadline is shorter than that."""
        desk = self.watch(Desk())
        waiting = Proxied(desk.listener, desk.transport.getPeer())
        transport = MemoryTransport(waiting, "192.0.2.9")
        transport.connect()
        self.uses(0.99)
        self.assertEqual(transport.ended, [])


class KeepAliveTests(Case):
    """92 %."""

    def test_answers_end_the_connection(self) -> None:
        desk = self.watch(Desk(ok, ok)).says(request()).hears(OK)
        self.uses(0.91)
        desk.says(request()).hears(OK)
        self.uses(0.92)
        desk.says(request()).replies(Response(200)).hears(OK_CLOSE)
        self.assertEqual(desk.ended, ["lose"])

    def test_also_that_of_an_exchange_under_way(self) -> None:
        desk = self.watch(Desk()).says(request())
        self.uses(0.92)
        desk.replies(Response(200)).hears(OK_CLOSE)

    def test_over_again(self) -> None:
        self.uses(0.92)
        self.uses(0.5)
        self.watch(Desk(ok)).says(request()).hears(OK)

    def test_http2(self) -> None:
        """It ends gracefully: what is on its way is still served."""
        desk = self.watch(Http2Desk(ok, ok, ok))
        desk.asks()
        self.assertEqual(desk.goaways(), [])
        self.uses(0.92)
        desk.autopump = False
        sid = desk.asks()
        self.assertEqual(desk.answer(sid).status, 200)
        self.assertEqual((desk.goaways()[0][0], desk.goaways()[-1][0]), (ANY_STREAM, sid))
        self.assertEqual(desk.ended, ["lose"])


class AcceptingTests(Case):
    """98 %."""

    def test_rests(self) -> None:
        street = self.watch(Street())
        self.uses(0.97)
        self.assertTrue(street.port.accepting)
        self.uses(0.98)
        self.assertFalse(street.port.accepting)
        self.assertEqual(street.counts.seen["refused overload"], 1)
        self.uses(0.96)
        self.assertFalse(street.port.accepting)
        self.uses(0.94)
        self.assertTrue(street.port.accepting)

    def test_who_is_there_is_served(self) -> None:
        desk = self.watch(Desk(ok))
        self.uses(0.99)
        self.assertFalse(desk.port.accepting)
        desk.says(request()).hears(OK_CLOSE)

    def test_a_connection_that_goes_does_not_end_the_rest(self) -> None:
        street = self.watch(Street())
        transport = street.comes()
        self.uses(0.98)
        transport.lose()
        self.assertFalse(street.port.accepting)
        self.uses(0.5)
        self.assertTrue(street.port.accepting)

    def test_a_full_listener_stays_full(self) -> None:
        """The memory is fine again, and there is still no room."""
        street = self.watch(Street(total=ConnectionCap(1)))
        transport = street.comes()
        self.assertFalse(street.port.accepting)
        self.uses(0.98)
        self.uses(0.5)
        self.assertFalse(street.port.accepting)
        transport.lose()
        self.assertTrue(street.port.accepting)

    def test_one_that_is_opened_meanwhile(self) -> None:
        """A reload opens another listener: it takes what has come, and rests."""
        self.uses(0.98)
        street = self.watch(Street())
        street.listener.resume_accepting()
        street.comes()
        self.assertFalse(street.port.accepting)
        self.uses(0.5)
        self.assertTrue(street.port.accepting)

    def test_a_reload_meanwhile(self) -> None:
        street = self.watch(Street())
        self.uses(0.98)
        street.listener.apply(street.desk.terms._replace(concessions=self.overload))
        self.assertFalse(street.port.accepting)

    def test_a_listener_that_is_gone(self) -> None:
        street = self.watch(Street())
        street.listener.stop_accepting()
        self.uses(0.98)
        self.uses(0.5)
        self.assertTrue(street.port.stopped)

    def test_late_is_no_reason(self) -> None:
        """Whoever cannot connect cannot be told to come back later."""
        street = self.watch(Street())
        for _ in range(60):
            self.time.advance(TICK_S + 2)
            self.overload.tick()
        self.assertEqual((self.overload.level, street.port.accepting), (3, True))


class DrillR10(Case):
    """Memory pressure: up the whole ladder and down again; the pass line is "no OOM; recovers".

    Each exchange under way and each connection costs memory, as in a process; a tick comes every quarter of a second. Without the
    ladder the same load ends the process.
    """

    PER_CONNECTION, PER_EXCHANGE = 0.002, 0.01

    def load(self, heavy_s: float, watched: bool) -> tuple[float, list[int], list[int]]:
        """Clients come, four a tick, and stay; returns the most memory used, the levels seen, and the statuses."""
        desk = self.watch(Desk()) if watched else Desk()
        desk.leaves()
        shedding = Shedding(self.busy, self.overload, "normal")
        desk.listener.responder = lambda exchange: self.answered(shedding, exchange)
        self.ends: list[float] = []
        self.statuses: list[int] = []
        self.clock = desk.clock
        most, levels = 0.0, []
        for tick in range(round((heavy_s + 120) / TICK_S)):
            if tick * TICK_S < heavy_s and desk.port.accepting:
                for _ in range(4):
                    _, transport = desk.connect()
                    transport.deliver(request())
            desk.clock.advance(TICK_S)
            connections = len(desk.listener.connections)
            running = sum(end > desk.clock.seconds() for end in self.ends)
            used = 0.3 + connections * self.PER_CONNECTION + running * self.PER_EXCHANGE
            most = max(most, used)
            self.uses(used)
            levels.append(self.overload.level)
            for listener_connection in list(desk.listener.connections):
                if listener_connection.transport.ended:
                    listener_connection.transport.lose()
        return most, levels, self.statuses

    async def answered(self, responder: Any, exchange: Exchange) -> Response:
        try:
            response: Response = await responder(exchange)
        except GatewayError as error:
            response = Response(error.status)
        self.statuses.append(response.status)
        return response

    async def busy(self, _: Exchange) -> Response:
        self.ends.append(self.clock.seconds() + 10.0)
        return Response(200)

    def test_with_the_ladder(self) -> None:
        most, levels, statuses = self.load(120, watched=True)
        self.assertLess(most, 1.0)
        self.assertEqual(set(levels), {0, 1, 2, 3, 4})
        self.assertGreater(statuses.count(200), 300)
        self.assertGreater(statuses.count(503), 10)
        # It recovers as soon as the load is gone, and accepts again.
        self.assertEqual((levels[-1], self.overload.accepting), (0, True))

    def test_without_it(self) -> None:
        """The same load on a listener that nobody tells, and nothing is shed: the drill can fail."""
        self.overload.sheds = lambda rank: False  # type: ignore[method-assign]
        most, _, statuses = self.load(120, watched=False)
        self.assertGreater(most, 1.3)
        self.assertEqual(statuses.count(503), 0)
