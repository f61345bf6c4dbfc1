"""Probes by an HTTP request, in the version of HTTP that the endpoint speaks."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.patterns import Pattern
from edgegw.net.call import Call
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.health.interfaces import ProbeFailed
from edgegw.upstream.health.settings import HealthSettings
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Field

LARGEST = 65536
"""Bytes of a body that are looked at."""

_GRACE_S = 1.0
"""The connection's own deadlines come so much after the probe's, which is for all of it."""


class HttpProbe:
    """One request; its status and, if something is expected of it, its body decide.

    Args:
        pattern: `expect.body.regex`, compiled.
    """

    def __init__(self, settings: HealthSettings, pattern: Pattern | None = None) -> None:
        self._method = settings.method
        self._path = settings.path
        self._host = None if settings.host == "upstream" else settings.host.encode("ascii")
        self._statuses = frozenset(
            status for allowed in settings.expect.status for status in range(allowed.low, allowed.high + 1)
        )
        self._fields = _fields(settings)
        self._fits = _body_test(settings, pattern)

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> str:
        """`Probe`."""
        connection = await endpoint.probe_connection()
        orderly = False
        try:
            host: Field = (b"host", b"Host", self._host or endpoint.authority)
            limits_s = (timeout_s + _GRACE_S, timeout_s + _GRACE_S)
            call = Call(self._method, self._path, [host, *self._fields], None, None, limits_s, _ignore)
            response = await connection.send(call)
            if response.status not in self._statuses:
                raise ProbeFailed(f"status {response.status}")
            if self._fits is not None and not self._fits(await excerpt(response.body, LARGEST)):
                raise ProbeFailed(f"status {response.status}, but not the body that is expected")
            # A body that is not asked for and not here yet may be endless.
            orderly = response.body.ended
        finally:
            if orderly:
                connection.retire()
            else:
                connection.close()
        return str(response.status)


def _fields(settings: HealthSettings) -> list[Field]:
    usual = {"User-Agent": "edgegw-health", "Accept": "*/*"}
    own = {name.lower() for name in settings.headers}
    said = {**{name: value for name, value in usual.items() if name.lower() not in own}, **settings.headers}
    return [(name.lower().encode(), name.encode(), value.encode("utf-8")) for name, value in said.items()]


def _body_test(settings: HealthSettings, pattern: Pattern | None) -> Callable[[bytes], bool] | None:
    body = settings.expect.body
    if body is None:
        return None
    if body.contains is not None:
        wanted = body.contains.encode("utf-8")
        return lambda data: wanted in data
    assert pattern is not None
    search = pattern.compiled.search
    return lambda data: search(data) is not None


def excerpt(body: Body, limit: int) -> Deferred[bytes]:
    """The body, or its first `limit` bytes if it is longer.

    Raises (through the Deferred):
        GatewayError: what broke it off.
    """
    reader = _Excerpt(body, limit)
    body.attach(reader)
    return reader.done


class _Excerpt:
    """A sink that has enough at some point."""

    def __init__(self, body: Body, limit: int) -> None:
        self._body = body
        self._limit = limit
        self._data = bytearray()
        self.done: Deferred[bytes] = Deferred(lambda _: body.cancel())

    def write(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._limit and not self.done.called:
            self._body.cancel()
            self._tell()

    def end(self, trailers: tuple[Field, ...]) -> None:
        if not self.done.called:
            self._tell()

    def abort(self, error: GatewayError) -> None:
        if not self.done.called:
            self.done.errback(error)

    def _tell(self) -> None:
        self.done.callback(bytes(self._data[: self._limit]))


def _ignore(_: ResponseHead) -> None:
    """1xx heads are nobody's business."""
