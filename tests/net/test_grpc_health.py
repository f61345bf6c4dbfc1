"""Tests of edgegw.net.grpc_health: against an origin in memory; tests.live.test_grpc_health asks a real one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.net.grpc_health import CHECK, HealthStatus, check, decode_response, encode_request
from edgegw.wire.grpc import frame
from tests.net.http2_origin import Http2Origin, Wire

GRPC = (b"content-type", b"application/grpc")


class CheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.origin = Http2Origin()
        self.connection = self.origin.accept()
        self.wire: Wire = self.origin.wires[0]

    def ask(self, service: str = "acme.Orders") -> Deferred[HealthStatus]:
        return Deferred.fromCoroutine(check(self.connection, b"10.0.0.7:50051", service, 2.0))

    def answer(self, data: bytes, *trailers: tuple[bytes, bytes], status: int = 200) -> None:
        with self.wire.one_read():
            self.wire.head(1, status, GRPC)
            self.wire.data(1, data)
            self.wire.trailers(1, *(trailers or ((b"grpc-status", b"0"),)))

    def fails(self, asked: Deferred[HealthStatus]) -> GatewayError:
        error: GatewayError = self.failureResultOf(asked, GatewayError).value
        return error

    def test_what_is_asked(self) -> None:
        self.ask()
        asked = self.wire.asked[1]
        self.assertEqual(
            asked.fields,
            [
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":authority", b"10.0.0.7:50051"),
                (b":path", CHECK.encode()),
                GRPC,
                (b"te", b"trailers"),
                (b"grpc-timeout", b"2000000u"),
                (b"user-agent", b"edgegw-health"),
            ],
        )
        self.assertEqual((asked.body, asked.complete), (frame(b"\x0a\x0bacme.Orders"), True))

    def test_statuses(self) -> None:
        for message, status in (
            (b"\x08\x01", HealthStatus.SERVING),
            (b"\x08\x02", HealthStatus.NOT_SERVING),
            (b"\x08\x03", HealthStatus.SERVICE_UNKNOWN),
            (b"", HealthStatus.UNKNOWN),
            (b"\x08\x63", HealthStatus.UNKNOWN),
        ):
            with self.subTest(status=status):
                self.setUp()
                asked = self.ask()
                self.answer(frame(message))
                self.assertIs(self.successResultOf(asked), status)

    def test_nothing_is_left_on_the_wheel(self) -> None:
        left = []
        for sid in (1, 3):
            asked = self.ask()
            self.wire.head(sid, 200, GRPC, (b"grpc-status", b"5"), end=True)
            self.successResultOf(asked)
            left.append(len(self.origin.wheel))
        self.assertEqual(left[0], left[1])

    def test_not_found(self) -> None:
        """A Check of a service that it does not know, all in the head."""
        asked = self.ask()
        self.wire.head(1, 200, GRPC, (b"grpc-status", b"5"), end=True)
        self.assertIs(self.successResultOf(asked), HealthStatus.SERVICE_UNKNOWN)

    def test_no_health_service(self) -> None:
        asked = self.ask()
        self.wire.head(1, 200, GRPC, (b"grpc-status", b"12"), (b"grpc-message", b"no such%20method"), end=True)
        error = self.fails(asked)
        self.assertEqual((error.reason, error.detail), ("health_check_failed", "grpc-status 12: no such method"))

    def test_no_grpc(self) -> None:
        asked = self.ask()
        self.wire.head(1, 503, (b"content-type", b"text/html"))
        self.assertEqual(self.fails(asked).reason, "health_check_failed")
        self.assertEqual(self.wire.asked[1].reset, 8)

    def test_answers_that_are_none(self) -> None:
        good = frame(b"\x08\x01")
        for data, trailers in (
            (good, ((b"x", b"1"),)),
            (good[:-1], ()),
            (good + good, ()),
            (frame(b"\x08\x01", 1), ()),
            (b"\0\0", ()),
            (frame(b"\x08"), ()),
            (frame(b"\x12\x09a"), ()),
            (frame(b"\x0b"), ()),
            (frame(b"\x08" + b"\xff" * 20), ()),
        ):
            with self.subTest(data=data):
                self.setUp()
                asked = self.ask()
                self.answer(data, *trailers)
                self.assertEqual(self.fails(asked).reason, "health_check_failed")

    def test_too_much(self) -> None:
        asked = self.ask()
        self.wire.head(1, 200, GRPC)
        self.wire.data(1, bytes(5000))
        self.assertEqual(self.fails(asked).status, 413)

    def test_late(self) -> None:
        """However far it came; a byte now and then does not help."""
        for begun in (False, True):
            with self.subTest(begun=begun):
                self.setUp()
                asked = self.ask()
                if begun:
                    self.wire.head(1, 200, GRPC)
                    self.wire.data(1, b"\0")
                self.origin.turn(1.5)
                self.assertNoResult(asked)
                if begun:
                    self.wire.data(1, b"\0")
                self.origin.turn(0.8)
                self.assertEqual(self.fails(asked).reason, "health_check_timeout")
                self.assertEqual(self.wire.asked[1].reset, 8)

    def test_the_server_keeps_the_deadline(self) -> None:
        asked = self.ask()
        self.wire.head(1, 200, GRPC, (b"grpc-status", b"4"), end=True)
        self.assertEqual(self.fails(asked).reason, "health_check_timeout")

    def test_lost(self) -> None:
        asked = self.ask()
        self.wire.close()
        self.assertEqual(self.fails(asked).reason, "upstream_closed")

    def test_given_up(self) -> None:
        asked = self.ask()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.origin.turn(0.1)
        self.assertEqual(self.wire.asked[1].reset, 8)


class MessageTests(SynchronousTestCase):
    def test_request(self) -> None:
        self.assertEqual(encode_request(""), b"")
        self.assertEqual(encode_request("a" * 300), b"\x0a\xac\x02" + b"a" * 300)

    def test_unknown_fields_are_skipped(self) -> None:
        message = b"\x12\x03abc" + b"\x19" + bytes(8) + b"\x25" + bytes(4) + b"\x08\x01" + b"\x28\xff\x01"
        self.assertIs(decode_response(message), HealthStatus.SERVING)

    @given(st.binary(max_size=40))
    def test_anything(self, data: bytes) -> None:
        try:
            self.assertIsInstance(decode_response(data), HealthStatus)
        except GatewayError as error:
            self.assertEqual(error.reason, "health_check_failed")
