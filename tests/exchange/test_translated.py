"""Tests of edgegw.exchange.translated."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import EMPTY, HIGH_WATER, Body
from edgegw.exchange.translated import Translated
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import drain
from edgegw.wire.headers import Field

BAD = GatewayError(400, "grpc_web_bad_text")
LOST = GatewayError(502, "upstream_aborted")
TRAILERS: tuple[Field, ...] = ((b"x", b"X", b"1"),)


class Doubled:
    """Every byte twice, `.` not at all, `!` is refused; trailers become bytes."""

    def __init__(self, at_end: GatewayError | None = None) -> None:
        self.at_end = at_end

    def translate(self, data: bytes) -> bytes:
        if b"!" in data:
            raise BAD
        return b"".join(bytes([each, each]) for each in data if each != ord("."))

    def finish(self, trailers: tuple[Field, ...]) -> tuple[bytes, tuple[Field, ...]]:
        if self.at_end is not None:
            raise self.at_end
        return b"".join(value for _, _, value in trailers), ()


class TranslatedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.source = Source()
        self.inner = Body(None, self.source)
        self.made = Translated(self.inner, Doubled())

    def test_data_and_end(self) -> None:
        sink = drain(self.made.body)
        for chunk in (b"a", b".", b"bc"):
            self.inner.write(chunk)
        self.inner.end(TRAILERS)
        self.assertEqual((sink.chunks, sink.ended, sink.trailers), ([b"aa", b"bbcc", b"1"], True, ()))

    def test_nothing_is_read_before_somebody_reads(self) -> None:
        self.inner.write(b"a")
        self.assertEqual((self.source.told, self.made.body.size), ([], 0))
        self.assertEqual(drain(self.made.body).data, b"aa")
        self.assertEqual(self.source.told, ["start"])

    def test_started_by_hand(self) -> None:
        """What is here already is there at once; reading goes on behind it."""
        self.inner.write(b"a")
        self.made.start()
        self.assertEqual(self.made.body.take_ready(), b"aa")
        sink = drain(self.made.body)
        self.inner.write(b"b")
        self.assertEqual((sink.data, self.source.told), (b"bb", ["start"]))

    def test_complete_already(self) -> None:
        made = Translated(Body.of(b"ab"), Doubled())
        made.start()
        self.assertEqual((made.body.ended, made.body.take_ready()), (True, b"aabb"))

    def test_empty(self) -> None:
        sink = drain(Translated(EMPTY, Doubled()).body)
        self.assertEqual((sink.data, sink.ended), (b"", True))

    def test_backpressure(self) -> None:
        self.made.start()
        self.inner.write(bytes(HIGH_WATER))
        self.assertEqual(self.source.told, ["start", "pause"])
        body = self.made.body
        drain(body)
        self.assertEqual(self.source.told[2:], ["resume"])
        body.pause()
        body.resume()
        self.assertEqual(self.source.told[3:], ["pause", "resume"])

    def test_refused(self) -> None:
        sink = drain(self.made.body)
        self.inner.write(b"a")
        self.inner.write(b"!")
        self.inner.write(b"b")
        self.assertEqual((sink.data, sink.error, self.source.told), (b"aa", BAD, ["start", "cancel"]))

    def test_refused_at_the_end(self) -> None:
        sink = drain(Translated(self.inner, Doubled(BAD)).body)
        self.inner.end()
        self.assertEqual((sink.ended, sink.error), (False, BAD))

    def test_broken_off(self) -> None:
        sink = drain(self.made.body)
        self.inner.abort(LOST)
        self.assertEqual((sink.ended, sink.error), (False, LOST))

    def test_not_wanted(self) -> None:
        drain(self.made.body)
        self.made.body.cancel()
        self.assertEqual(self.source.told, ["start", "cancel"])
