"""GET requests to an API: each on a connection of its own, which is closed after it. Redirects are not followed.

What the other side sends ends in an answer or in an `ApiError`, never in another exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from edgegw.discovery.api.access import Access
from edgegw.discovery.api.bodies import Body, Lines, Whole
from edgegw.discovery.api.connection import Connection
from edgegw.discovery.api.deadline import within
from edgegw.discovery.api.errors import ApiError, is_cancelled, reasons
from edgegw.net.resolver import Resolver

_RETRY_AFTER_MAX_S = 120.0


class Answer(NamedTuple):
    """A whole answer. headers: by lower-case name, the first of each."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Arriving:
    """An answer whose head is there. Its body is read once, as one or by lines, or it is closed unread.

    headers: by lower-case name, the first of each.
    """

    def __init__(self, response: IResponse, connection: Connection, close: Callable[[Connection], None]) -> None:
        self.status: int = response.code
        self.headers = _flat(response.headers)
        self._response = response
        self._connection = connection
        self._close = close

    async def whole(self, most: int) -> bytes:
        """Its body, of at most so many bytes. Raises ApiError. Cancelling it closes the connection."""
        return await self._read(Whole(self._connection, most))

    async def lines(self, line: Callable[[bytes], None], most: int) -> None:
        """Calls `line` with each line, of at most so many bytes, until the other side ends it.

        Raises:
            ApiError: `line` did, a line is too long, or the answer was torn.
        """
        await self._read(Lines(self._connection, line, most))

    async def _read(self, body: Body) -> bytes:
        try:
            self._response.deliverBody(body)
            return await body.finished
        finally:
            self.close()

    def close(self) -> None:
        """It is not wanted any more."""
        self._close(self._connection)


class HttpClient:
    """Makes requests.

    Args:
        reactor: for sockets and time. agent: the User-Agent, by which operators of the other side find us.
    """

    def __init__(self, reactor: Any, resolver: Resolver, agent: str = "edgegw") -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._agent = agent
        self._open: set[Connection] = set()
        self._stopping: Deferred[None] | None = None

    async def get(
        self, access: Access, target: str, headers: Mapping[str, str], limit_s: float, most: int = 4 * 1024 * 1024
    ) -> Answer:
        """One answer, whatever its status. Cancelling it closes the connection.

        Args:
            target: path and query, ASCII. limit_s: for all of it. most: bytes of the body.

        Raises:
            ApiError: there was none within the time, or it is too large.
        """
        return await within(self._reactor, limit_s, self._get(access, target, headers, most))

    async def begin(self, access: Access, target: str, headers: Mapping[str, str], limit_s: float) -> Arriving:
        """An answer of any status, its body still to come. Cancelling it closes the connection.

        Args:
            target: path and query, ASCII. limit_s: for its head.

        Raises:
            ApiError: there was none within the time.
        """
        return await within(self._reactor, limit_s, self._begin(access, target, headers))

    def stop(self) -> Deferred[None]:
        """Closes what is open, for good. Fires when it is closed."""
        if self._stopping is None:
            self._stopping = Deferred()
            for connection in list(self._open):
                connection.abort()
            self._settle()
        return self._stopping if self._open else succeed(None)

    async def _get(self, access: Access, target: str, headers: Mapping[str, str], most: int) -> Answer:
        arriving = await self._begin(access, target, headers)
        return Answer(arriving.status, arriving.headers, await arriving.whole(most))

    async def _begin(self, access: Access, target: str, headers: Mapping[str, str]) -> Arriving:
        if self._stopping is not None:
            raise ApiError("the source was stopped")
        connection = Connection(self._reactor, self._resolver, access, self._closed)
        agent = Agent.usingEndpointFactory(self._reactor, connection)
        said = Headers({"User-Agent": [self._agent], **{name: [value] for name, value in headers.items()}})
        self._open.add(connection)
        try:
            response = await agent.request(b"GET", f"{access.origin}{target}".encode("ascii"), said)
        except BaseException as error:
            self._close(connection)
            raise _told(error, access) from None
        connection.answered()
        return Arriving(response, connection, self._close)

    def _close(self, connection: Connection) -> None:
        connection.abort()
        if not connection.is_open:
            self._closed(connection)

    def _closed(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._settle()

    def _settle(self) -> None:
        stopping = self._stopping
        if stopping is not None and not self._open and not stopping.called:
            stopping.callback(None)

    def __repr__(self) -> str:
        return f"<HttpClient {self._agent}, {len(self._open)} open>"


def retry_after_s(headers: Mapping[str, str]) -> float:
    """How long the other side asks to be left alone, in seconds and within reason (RFC 9110, 10.2.3); dates are left out."""
    said = headers.get("retry-after", "")
    return min(float(said), _RETRY_AFTER_MAX_S) if said.isascii() and said.isdigit() and len(said) < 10 else 0.0


def _told(error: BaseException, access: Access) -> BaseException:
    """What becomes of an error of Twisted's HTTP client."""
    if isinstance(error, ApiError) or not isinstance(error, Exception):
        return error
    if is_cancelled(error):
        return CancelledError()
    return ApiError(f"no answer from {access.authority}: {reasons(error)}")


def _flat(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, values in headers.getAllRawHeaders():
        found.setdefault(name.decode("latin-1").lower(), values[0].decode("latin-1"))
    return found
