"""Fuzz tests of edgegw.net.http2_downstream: peer, responder and transport do what they like, in any order.

Whatever happens, a complete answer is the one that was given, every exchange ends once, and nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import HIGH_WATER, Body
from edgegw.exchange.model import Exchange, Response
from edgegw.wire.headers import Headers
from edgegw.wire.http2_limits import Http2Limits
from tests.net.http2_peer import GOAWAY, HEADERS, PING, SETTINGS, RawDesk, frame

MIB = 1048576
LARGEST = 40_000
REQUESTS = 12
TRAILER = ((b"x-t", b"X-T", b"1"),)


class Given:
    """An answer as its responder gives it: a body's source, and the sink of the request's, that may fill the body."""

    def __init__(self, exchange: Exchange, length: int | None = None, echoes: bool = False) -> None:
        self.exchange = exchange
        self.body = Body(length, self)
        self.paused = self.over = False
        self.data = b""
        self.at_start: Callable[[], None] = lambda: None
        self._echoes = echoes

    def start(self) -> None:
        self.at_start()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def cancel(self) -> None:
        self.over = True

    def says(self, size: int) -> None:
        """As much as it may: a source that is paused says nothing."""
        if not (self.paused or self.over) and size:
            data = bytes([65 + size % 26]) * size
            self.data += data
            self.body.write(data)

    def ends(self, trailers: bool) -> None:
        if not self.over:
            self.over = True
            self.body.end(TRAILER if trailers else ())

    def breaks(self) -> None:
        if not self.over:
            self.over = True
            self.body.abort(GatewayError(502, "upstream_aborted"))

    # The request's body.

    def write(self, data: bytes) -> None:
        if self._echoes and not self.over:
            self.data += data
            self.body.write(data)

    def end(self, _: object) -> None:
        if self._echoes:
            self.ends(True)

    def abort(self, _: GatewayError) -> None:
        if self._echoes:
            self.breaks()


class Taken(Protocol):
    """A protocol on a stream, and its takeover."""

    def __init__(self) -> None:
        self.losses = 0
        self.hasty = False

    def connect(self, transport: Any, received: bytes) -> Protocol:
        self.makeConnection(transport)
        transport.registerProducer(self, True)
        if self.hasty:
            transport.abortConnection()
        return self

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]

    def connectionLost(self, reason: Any = None) -> None:
        self.losses += 1

    @property
    def carried(self) -> tuple[int, int]:
        return 0, 0

    def drain(self) -> None:
        self.leave()

    def leave(self) -> None:
        transport: Any = self.transport
        transport.unregisterProducer()
        transport.loseConnection()

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None: ...


class Play:
    """One connection, and everything that can happen to it. Every act takes two numbers and makes of them what it needs."""

    def __init__(self, window: int) -> None:
        self.desk = RawDesk(window=window, http2=Http2Limits(requests=REQUESTS))
        self.desk.script._act = self.act  # type: ignore[method-assign]
        self.connection, self.transport = self.desk.connection, self.desk.transport
        self.opened: list[int] = []
        self.given: list[Given] = []
        self.taken: list[Taken] = []
        self.whole: dict[int, bytes] = {}
        self.ends: list[int] = []

    # The responder.

    async def act(self, exchange: Exchange) -> Response:
        at = len(self.ends)
        self.ends.append(0)

        def ended(_: Exchange, __: object) -> None:
            self.ends[at] += 1

        exchange.on_end(ended)
        _, kind, size, *_ = exchange.request.path.split("/")
        if kind in ("later", "slow"):
            await self.desk.script._later()
        return self.answer(exchange, kind, int(size) % LARGEST)

    def answer(self, exchange: Exchange, kind: str, size: int) -> Response:
        body = exchange.request.body
        if kind == "error":
            raise GatewayError(503, "no_upstream")
        if kind == "take":
            taken = Taken()
            taken.hasty = bool(size % 2)
            self.taken.append(taken)
            return Response(101, takeover=taken)
        if kind in ("now", "later", "refuse"):
            data = b"n" * size
            self.whole[exchange.connection.sid] = data  # type: ignore[attr-defined]
            return Response.of(413 if kind == "refuse" else 200, data)
        told = Given(exchange, size if kind == "sized" else None, kind == "echo")
        self.given.append(told)
        if kind in ("echo", "slow", "drop"):
            body.attach(told)
        if kind == "drop":
            body.cancel()
        if kind == "hasty":
            told.at_start = lambda: (told.says(size), told.breaks() if size % 2 else told.ends(False))  # type: ignore[assignment, func-returns-value]
        return Response(200, Headers(), told.body)

    def says(self, which: int, size: int) -> None:
        if told := _one(self.given, which):
            told.says(size % LARGEST)

    def finishes(self, which: int, how: int) -> None:
        if told := _one(self.given, which):
            told.breaks() if how % 3 == 2 else told.ends(bool(how % 3))

    def replies(self, which: int, size: int) -> None:
        if self.desk.script.waiting:
            self.desk.script.waiting.pop(which % len(self.desk.script.waiting)).callback(None)

    def reads(self, which: int, how: int) -> None:
        if told := _one(self.given, which):
            body = told.exchange.request.body
            [body.pause, body.resume, body.cancel][how % 3]()

    def fails(self, which: int, _: int) -> None:
        if exchange := _one(self.desk.exchanges, which):
            exchange.connection.fail(exchange, GatewayError(504, "total_timeout"))

    def takes(self, which: int, how: int) -> None:
        taken = _one(self.taken, which)
        if taken and taken.transport is not None:
            transport = taken.transport
            acts = (transport.pauseProducing, transport.resumeProducing, taken.leave, transport.abortConnection)
            acts[how % 4]() if how % 5 else transport.write(b"t" * (how % LARGEST))

    # The peer.

    def asks(self, kind: int, size: int) -> None:
        method, kinds = "POST", ("now", "later", "refuse", "error", "stream", "sized", "hasty", "echo", "slow", "drop")
        extra: list[tuple[str, str]] = []
        if kind % 11 == 10:
            method, name = "CONNECT", "take"
            extra.append((":protocol", "websocket"))
        else:
            name = kinds[kind % 11]
            method = ("POST", "GET", "HEAD")[size % 3]
        path = f"/{name}/{size}" if kind % 29 else "/bad path"
        head = [(":method", method), *extra, (":scheme", "http"), (":authority", "a"), (":path", path)]
        if kind % 31 == 1:
            head.append(("connection", "close"))
        if kind % 7 == 1 and method == "POST":
            head.append(("expect", "100-continue"))
        if kind % 13 == 1 and method == "POST":
            head.append(("content-length", "9000"))
        self.opened.append(self.desk.asks(head, method in ("GET", "HEAD")))

    def sends(self, which: int, size: int) -> None:
        sid = _one(self.opened, which)
        if sid and not self.desk.streams[sid].over:
            self.desk.sends(sid, min(size % 16384, self.desk.room(sid)), which % 5 == 0)

    def trails(self, which: int, bad: int) -> None:
        sid = _one(self.opened, which)
        if sid and not self.desk.streams[sid].over:
            self.desk.streams[sid].over = True
            # Literal fields: `x-t: 1`, and one whose name is no token.
            self.desk.said += frame(HEADERS, 5, sid, b"\0\3x-t\1" + b"1" if bad % 3 else b"\0\1 \1" + b"1")

    def resets(self, which: int, code: int) -> None:
        sid = _one(self.opened, which)
        if sid and not self.desk.streams[sid].left:
            self.desk.resets(sid, code % 13)

    def credits(self, which: int, size: int) -> None:
        self.desk.credits(_one(self.opened, which) or 0 if which % 3 else 0, 1 + size)

    def sets(self, window: int, _: int) -> None:
        self.desk.sets(window % 70_000)

    def pings(self, _: int, __: int) -> None:
        self.desk.said += frame(PING, 0, 0, b"12345678")

    def goes(self, which: int, _: int) -> None:
        if which % 4 == 0:
            self.desk.said += frame(GOAWAY, 0, 0, bytes(8))

    def spoils(self, which: int, _: int) -> None:
        if which % 8 == 0:
            self.desk.said += frame(SETTINGS, 0, 1)

    def arrives(self, _: int, __: int) -> None:
        self.desk.pump()

    # The transport, and time.

    def congests(self, _: int, __: int) -> None:
        self.transport.congest()

    def relieves(self, _: int, __: int) -> None:
        self.transport.relieve()

    def waits(self, seconds: int, _: int) -> None:
        self.desk.waits((0.2, 1.5, 16, 31)[seconds % 4])

    def drains(self, which: int, _: int) -> None:
        if which % 4 == 0:
            self.connection.drain()

    def leaves(self, which: int, _: int) -> None:
        if which % 8 == 0:
            self.transport.lose() if which % 16 else self.connection.abort_now()

    # What holds.

    def step(self, act: str, first: int, second: int) -> None:
        getattr(self, act)(first, second)
        connection = self.connection
        if not connection._deaf:
            assert set(connection.codec._streams) == set(connection._streams), (act, connection)
            assert set(connection._held) <= set(connection._streams)
            assert all(connection.codec.waiting(sid) <= 2 * HIGH_WATER for sid in connection._streams)

    def compare(self) -> None:
        """What the peer has got as complete is what was given."""
        self.desk.pump()
        given = self.whole | {told.exchange.connection.sid: told.data for told in self.given}  # type: ignore[attr-defined]
        methods = {exchange.connection.sid: exchange.head.method for exchange in self.desk.exchanges}  # type: ignore[attr-defined]
        for sid, got in self.desk.streams.items():
            if got.ended and sid in given and got.status in (200, 413):
                assert got.body == (b"" if methods[sid] == "HEAD" else given[sid]), sid

    def upload(self) -> None:
        """A fresh upload goes through, whatever became of those before: no credit was lost."""
        desk, connection = self.desk, self.connection
        self.transport.relieve()
        for sid, got in desk.streams.items():
            if not got.left:
                desk.resets(sid, 8)
        desk.pump()
        if connection._retiring or connection._deaf:
            return
        assert not connection._streams, connection
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/echo/0")]
        sid, left = desk.asks(head, False), MIB
        desk.pump()
        while left:
            size = min(left, desk.room(sid))
            assert size > 0, (left, desk.send, desk.streams[sid].send, connection.codec)
            desk.sends(sid, size)
            desk.credits(0, size)
            desk.credits(sid, size)
            left -= size
            desk.pump()
        desk.credits(0, MIB)
        desk.credits(sid, MIB)
        desk.pump()
        assert len(desk.streams[sid].body) == MIB

    def end(self) -> None:
        """The connection goes, if it has not gone already; nothing remains."""
        self.transport.lose()
        desk, connection = self.desk, self.connection
        assert not connection._streams and not connection._held, connection
        assert not desk.listener.connections
        assert len(desk.wheel) == 0, desk.wheel
        assert set(self.ends) <= {1}, self.ends
        assert all(exchange.outcome is not None for exchange in desk.exchanges)
        assert not desk.script.waiting
        assert all(taken.losses == 1 for taken in self.taken if taken.transport is not None)


def _one(things: list[Any], which: int) -> Any:
    """Of the newest few."""
    return things[-1 - which % min(len(things), 4)] if things else None


ACTS = (
    *("asks", "asks", "asks", "sends", "sends", "arrives", "arrives", "arrives", "says", "finishes", "replies", "replies"),
    *("reads", "fails", "takes", "takes", "trails", "resets", "credits", "credits", "sets", "pings", "goes", "spoils"),
    *("congests", "relieves", "waits", "drains", "leaves"),
)  # fmt: skip
NUMBERS = st.integers(0, 50_000)
STEPS = st.lists(st.tuples(st.sampled_from(ACTS), NUMBERS, NUMBERS), min_size=5, max_size=60)


class FuzzTests(SynchronousTestCase):
    @settings(max_examples=250, deadline=None)
    @given(st.sampled_from((0, 1000, 65535)), STEPS)
    def test_anything_in_any_order(self, window: int, steps: list[tuple[str, int, int]]) -> None:
        play = Play(window)
        for step in steps:
            if not play.transport.connected or play.connection._deaf:
                break
            play.step(*step)
        play.compare()
        if play.transport.connected:
            play.upload()
        play.end()
        self.assertEqual(self.flushLoggedErrors(), [])
