"""Probes by gRPC's health protocol."""

from __future__ import annotations

from typing import cast

from edgegw.net.grpc_health import HealthStatus, Sender, check
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.health.interfaces import ProbeFailed
from edgegw.upstream.health.settings import GrpcProbeSettings


class GrpcProbe:
    """Asks the server's health service; SERVING passes. Always HTTP/2, whatever the endpoint is spoken to in otherwise."""

    def __init__(self, settings: GrpcProbeSettings) -> None:
        self._service = settings.service

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> str:
        """`Probe`."""
        connection = await endpoint.probe_connection("http2")
        answered = False
        try:
            sender = cast(Sender, connection)
            status = await check(sender, endpoint.authority, self._service, timeout_s)
            answered = True
        finally:
            if answered:
                connection.retire()
            else:
                connection.close()
        if status is not HealthStatus.SERVING:
            raise ProbeFailed(status.name)
        return status.name
