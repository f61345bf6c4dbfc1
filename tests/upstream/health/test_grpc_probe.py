"""Tests of edgegw.upstream.health.grpc_probe: in memory; tests.live.test_health asks grpcio."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.upstream.health.grpc_probe import GrpcProbe
from edgegw.upstream.health.interfaces import ProbeFailed
from edgegw.upstream.health.settings import GrpcProbeSettings
from edgegw.wire.grpc import frame
from tests.net.http2_origin import Http2Origin

GRPC = (b"content-type", b"application/grpc")


class GrpcProbeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.origin = Http2Origin()
        self.connection = self.origin.accept()
        self.wire = self.origin.wires[0]
        self.protocols: list[Any] = []

    def probe_connection(self, protocol: Any = None) -> Deferred[Any]:
        self.protocols.append(protocol)
        return succeed(self.connection)

    def ask(self, service: str = "acme.Orders") -> Deferred[str]:
        endpoint: Any = SimpleNamespace(authority=b"10.0.0.7:50051", probe_connection=self.probe_connection)
        return Deferred.fromCoroutine(GrpcProbe(GrpcProbeSettings(service=service)).probe(endpoint, 2.0))

    def answer(self, message: bytes) -> None:
        with self.wire.one_read():
            self.wire.head(1, 200, GRPC)
            self.wire.data(1, frame(message))
            self.wire.trailers(1, (b"grpc-status", b"0"))

    def test_serving(self) -> None:
        asking = self.ask()
        self.assertEqual(self.protocols, ["http2"])
        self.assertEqual(self.wire.asked[1].body, frame(b"\x0a\x0bacme.Orders"))
        self.answer(b"\x08\x01")
        self.assertEqual(self.successResultOf(asking), "SERVING")
        self.assertEqual(self.connection.room, 0)

    def test_not_serving(self) -> None:
        for message, reason in ((b"\x08\x02", "NOT_SERVING"), (b"\x08\x03", "SERVICE_UNKNOWN"), (b"", "UNKNOWN")):
            with self.subTest(reason=reason):
                self.setUp()
                asking = self.ask()
                self.answer(message)
                self.assertEqual(self.failureResultOf(asking, ProbeFailed).value.reason, reason)

    def test_no_health_service(self) -> None:
        asking = self.ask("")
        self.wire.head(1, 200, GRPC, (b"grpc-status", b"12"), end=True)
        self.assertEqual(self.failureResultOf(asking, GatewayError).value.reason, "health_check_failed")

    def test_cancelled(self) -> None:
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(self.connection.room, 0)
