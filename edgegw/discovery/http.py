"""GET requests of sources: each on a connection of its own, with a bound on its size and its time.

What the other side sends ends in an `Answer` or an `ApiError`, never in another exception; redirects are not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from edgegw.discovery.kubernetes.client import within
from edgegw.discovery.kubernetes.connection import Connection
from edgegw.discovery.kubernetes.credentials import Access
from edgegw.discovery.kubernetes.errors import ApiError, Garbage, reasons
from edgegw.net.resolver import Resolver


class Answer(NamedTuple):
    """A whole answer. headers: by lower-case name, the first of each."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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
        work = self._get(access, target, headers, most)
        answer: Answer = await within(self._reactor, limit_s, work, f"no answer within {limit_s:g} s")
        return answer

    def stop(self) -> Deferred[None]:
        """Closes what is open, for good. Fires when it is closed."""
        if self._stopping is None:
            self._stopping = Deferred()
            for connection in list(self._open):
                connection.abort()
            self._settle()
        return self._stopping if self._open else succeed(None)

    async def _get(self, access: Access, target: str, headers: Mapping[str, str], most: int) -> Answer:
        if self._stopping is not None:
            raise ApiError("the source was stopped")
        connection = Connection(self._reactor, self._resolver, access, self._closed)
        self._open.add(connection)
        try:
            response = await self._request(connection, access, target, headers)
            connection.answered()
            body = _Whole(most)
            response.deliverBody(body)
            return Answer(response.code, _flat(response.headers), await body.finished)
        finally:
            connection.abort()
            if not connection.is_open:
                self._closed(connection)

    async def _request(
        self, connection: Connection, access: Access, target: str, headers: Mapping[str, str]
    ) -> IResponse:
        agent = Agent.usingEndpointFactory(self._reactor, connection)
        said = Headers({"User-Agent": [self._agent], **{name: [value] for name, value in headers.items()}})
        try:
            response: IResponse = await agent.request(b"GET", f"{access.origin}{target}".encode("ascii"), said)
        except ApiError:
            raise
        except Exception as error:
            if _is_cancelled(error):
                raise CancelledError from None
            raise ApiError(f"no answer from {access.authority}: {reasons(error)}") from None
        return response

    def _closed(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._settle()

    def _settle(self) -> None:
        stopping = self._stopping
        if stopping is not None and not self._open and not stopping.called:
            stopping.callback(None)

    def __repr__(self) -> str:
        return f"<HttpClient {self._agent}, {len(self._open)} open>"


class _Whole(Protocol):
    """Takes a body; `finished` fires when it is there, or fails with ApiError."""

    def __init__(self, most: int) -> None:
        self.finished: Deferred[bytes] = Deferred()
        self._most = most
        self._length = 0
        self._parts: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self._length += len(data)
        if self._length <= self._most:
            self._parts.append(data)
        elif not self.finished.called:
            self.finished.errback(Garbage(f"its answer is larger than {self._most} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.finished.called:
            return
        # PotentialDataLoss: it ends with the connection; JSON shows by itself whether it is whole.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.finished.callback(b"".join(self._parts))
        else:
            self.finished.errback(ApiError(f"its answer was torn: {reasons(reason.value)}"))


def _flat(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, values in headers.getAllRawHeaders():
        found.setdefault(name.decode("latin-1").lower(), values[0].decode("latin-1"))
    return found


def _is_cancelled(error: BaseException | None) -> bool:
    """Whether somebody gave the request up; the HTTP client packs that like everything else."""
    inner = getattr(error, "reasons", None)
    if isinstance(inner, list):
        return any(isinstance(each, Failure) and _is_cancelled(each.value) for each in inner)
    return isinstance(error, (CancelledError, ConnectingCancelledError))
