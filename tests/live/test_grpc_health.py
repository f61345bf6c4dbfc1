"""edgegw.net.grpc_health against grpcio's own health service."""

from __future__ import annotations

from concurrent import futures
from threading import Event
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from edgegw.errors import GatewayError
from edgegw.net.grpc_health import HealthStatus, check
from edgegw.net.http2_upstream import Http2Upstream
from edgegw.runtime.wheel import Wheel

_LIMIT_S = 5.0


class _Quiet:
    """Nobody's pool."""

    def idle(self, _: Any) -> None:
        pass

    has_room = closed = idle


class HealthTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        self.health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.addCleanup(lambda: self.server.stop(None).wait(5) and None)
        self.wheel = Wheel(reactor)
        self.wheel.start()
        self.addCleanup(self.wheel.stop)

    async def connect(self, port: int) -> Http2Upstream:
        factory = Factory.forProtocol(lambda: Http2Upstream(self.wheel, secure=False))
        factory.noisy = False
        connection: Http2Upstream = await HostnameEndpoint(reactor, "127.0.0.1", port).connect(factory)
        self.addCleanup(connection.close)
        connection.owner = _Quiet()  # type: ignore[assignment]
        return await connection.ready()

    def run_async(self, coroutine: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(coroutine)

    def test_statuses(self) -> Deferred[None]:
        serving = health_pb2.HealthCheckResponse

        async def asks() -> None:
            connection = await self.connect(self.port)
            for service, status, wanted in (
                ("", serving.SERVING, HealthStatus.SERVING),
                ("acme.Orders", serving.SERVING, HealthStatus.SERVING),
                ("acme.Orders", serving.NOT_SERVING, HealthStatus.NOT_SERVING),
                ("acme.Orders", serving.UNKNOWN, HealthStatus.UNKNOWN),
                ("gr\u00f6\u00dfer" * 40, serving.SERVING, HealthStatus.SERVING),
                ("acme.Nothing", None, HealthStatus.SERVICE_UNKNOWN),
            ):
                if status is not None:
                    self.health.set(service, status)
                found = await check(connection, b"127.0.0.1", service, _LIMIT_S)
                self.assertIs(found, wanted, service)
            self.assertFalse(connection.busy)

        return self.run_async(asks())

    def test_without_a_health_service(self) -> Deferred[None]:
        bare = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
        port = bare.add_insecure_port("127.0.0.1:0")
        bare.start()
        self.addCleanup(lambda: bare.stop(None).wait(5) and None)

        async def asks() -> None:
            connection = await self.connect(port)
            try:
                await check(connection, b"127.0.0.1", "", _LIMIT_S)
            except GatewayError as error:
                self.assertEqual(error.reason, "health_check_failed")
                self.assertIn("grpc-status 12", error.detail)
            else:
                self.fail("there is none")

        return self.run_async(asks())

    def test_a_server_that_does_not_answer(self) -> Deferred[None]:
        stuck = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
        release = Event()
        self.addCleanup(lambda: stuck.stop(None).wait(5) and None)
        self.addCleanup(release.set)

        class Stuck(health_pb2_grpc.HealthServicer):
            def Check(self, request: Any, context: Any) -> Any:
                release.wait(10)
                return health_pb2.HealthCheckResponse()

        health_pb2_grpc.add_HealthServicer_to_server(Stuck(), stuck)
        port = stuck.add_insecure_port("127.0.0.1:0")
        stuck.start()

        async def asks() -> None:
            connection = await self.connect(port)
            try:
                await check(connection, b"127.0.0.1", "", 0.5)
            except GatewayError as error:
                self.assertEqual(error.reason, "health_check_timeout")
            else:
                self.fail("it said something")

        return self.run_async(asks())
