"""Requests to the API server: one JSON answer, or a stream of JSON lines. Each has a connection of its own, and every size a bound.

What the other side sends ends in a value or in an `ApiError`, never in another exception.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from edgegw.discovery.kubernetes.connection import Connection
from edgegw.discovery.kubernetes.credentials import Access, Credentials
from edgegw.discovery.kubernetes.errors import ApiError, Garbage, from_status, reasons
from edgegw.discovery.kubernetes.kubeconfig import CredentialsError
from edgegw.net.resolver import Resolver

LINE_MAX = 1024 * 1024
"""Bytes of one event; etcd takes no object above 1.5 MiB, and no EndpointSlice comes near."""

PAGE_MAX = 32 * 1024 * 1024
GET_S = 10.0
_STATUS_MAX = 64 * 1024
_RETRY_AFTER_MAX_S = 120.0
_log = Logger("edgegw.discovery.kubernetes")

Params = Mapping[str, str]


class KubernetesClient:
    """Speaks with one API server.

    Args:
        reactor: for sockets and time. agent: the User-Agent, by which its operators find us.
    """

    def __init__(self, reactor: Any, resolver: Resolver, credentials: Credentials, agent: str = "edgegw") -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._credentials = credentials
        self._agent = agent
        self._open: set[Connection] = set()
        self._stopping: Deferred[None] | None = None

    async def get(self, path: str, params: Params, limit_s: float = GET_S) -> dict[str, Any]:
        """One answer, a map. Cancelling it closes the connection. Raises ApiError."""
        found: dict[str, Any] = await within(self._reactor, limit_s, self._get(path, params), _SILENT.format(limit_s))
        return found

    async def watch(
        self, path: str, params: Params, opened: Callable[[], None], line: Callable[[bytes], None], limit_s: float
    ) -> None:
        """A stream of lines, until the API server ends it. Cancelling it closes the connection.

        Args:
            opened: called when the answer begins. line: called with each line; it may raise ApiError, which ends the stream.
            limit_s: for all of it: the API server was asked to end it before.

        Raises:
            ApiError: it did not begin, was torn, or went on for too long.
        """
        await within(
            self._reactor, limit_s, self._watch(path, params, opened, line), "the watch did not end in its time"
        )

    def stop(self) -> Deferred[None]:
        """Closes what is open. Fires when it is closed."""
        if not self._open:
            return succeed(None)
        if self._stopping is None:
            self._stopping = Deferred()
        for connection in list(self._open):
            connection.abort()
        return self._stopping if self._open else succeed(None)

    async def _get(self, path: str, params: Params) -> dict[str, Any]:
        response, connection = await self._begin(path, params, GET_S)
        body = _Whole(connection, PAGE_MAX)
        response.deliverBody(body)
        return decoded(await body.finished)

    async def _watch(
        self, path: str, params: Params, opened: Callable[[], None], line: Callable[[bytes], None]
    ) -> None:
        response, connection = await self._begin(path, params, GET_S)
        opened()
        body = Lines(connection, line)
        response.deliverBody(body)
        await body.finished

    async def _begin(self, path: str, params: Params, limit_s: float) -> tuple[IResponse, Connection]:
        """An answer whose status is 200, its body still to come. Raises ApiError."""
        access = self._access(self._credentials.access)
        answer = await within(self._reactor, limit_s, self._request(access, path, params), _SILENT.format(limit_s))
        if answer[0].code == 401:
            answer[1].abort()
            fresh = self._access(self._credentials.reload)
            if fresh.token == access.token:
                raise ApiError("the API server does not accept our credentials (401)", 401)
            answer = await within(self._reactor, limit_s, self._request(fresh, path, params), _SILENT.format(limit_s))
        response, connection = answer
        if response.code != 200:
            body = _Whole(connection, _STATUS_MAX)
            response.deliverBody(body)
            raise _refusal(response, await within(self._reactor, limit_s, _bytes(body), _SILENT.format(limit_s)))
        return response, connection

    async def _request(self, access: Access, path: str, params: Params) -> tuple[IResponse, Connection]:
        if self._stopping is not None:
            raise ApiError("the source was stopped")
        connection = Connection(self._reactor, self._resolver, access, self._closed)
        headers = Headers({"Accept": ["application/json"], "User-Agent": [self._agent]})
        if access.token:
            headers.setRawHeaders("Authorization", [f"Bearer {access.token}"])
        uri = f"{access.origin}{quote(path)}" + (f"?{urlencode(params)}" if params else "")
        agent = Agent.usingEndpointFactory(self._reactor, connection)
        self._open.add(connection)
        try:
            response = await agent.request(b"GET", uri.encode("ascii"), headers)
        except BaseException as error:
            self._discard(connection)
            if isinstance(error, ApiError):
                raise
            if _is_cancelled(error):
                raise CancelledError from None
            raise ApiError(f"no answer from {access.authority}: {reasons(error)}") from None
        connection.answered()
        return response, connection

    def _discard(self, connection: Connection) -> None:
        connection.abort()
        if not connection.is_open:
            self._closed(connection)

    def _access(self, find: Callable[[], Access]) -> Access:
        try:
            return find()
        except CredentialsError as error:
            raise ApiError(str(error)) from None

    def _closed(self, connection: Connection) -> None:
        self._open.discard(connection)
        if self._stopping is not None and not self._open and not self._stopping.called:
            self._stopping.callback(None)

    def __repr__(self) -> str:
        return f"<KubernetesClient {self._credentials!r}, {len(self._open)} open>"


_SILENT = "no answer within {:g} s"


class _Body(Protocol):
    """Takes a body; `finished` fires when it is there, or fails with ApiError. Cancelling it closes the connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.finished: Deferred[bytes] = Deferred(lambda _: connection.abort())

    def dataReceived(self, data: bytes) -> None:
        if self.finished.called:
            return
        try:
            self.take(data)
        except ApiError as error:
            self._fail(error)
        except Exception:
            _log.failure("Kubernetes: reading an answer failed")
            self._fail(Garbage("the API server sent what cannot be read"))

    def take(self, data: bytes) -> None:
        """Some more bytes. Raises ApiError."""
        raise NotImplementedError

    def ended(self) -> bytes:
        """The body is whole. Raises ApiError."""
        raise NotImplementedError

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.finished.called:
            return
        # PotentialDataLoss: it ends with the connection; JSON shows by itself whether it is whole.
        if reason.check(ResponseDone, PotentialDataLoss):
            try:
                found = self.ended()
            except ApiError as error:
                self.finished.errback(error)
            else:
                self.finished.callback(found)
        else:
            self.finished.errback(ApiError(f"the answer was torn: {reasons(reason.value)}"))

    def _fail(self, error: ApiError) -> None:
        self.finished.errback(error)
        self._connection.abort()


class _Whole(_Body):
    """A body that is wanted as one."""

    def __init__(self, connection: Connection, limit: int) -> None:
        super().__init__(connection)
        self._limit = limit
        self._length = 0
        self._parts: list[bytes] = []

    def take(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > self._limit:
            raise Garbage(f"the API server sent more than {self._limit} bytes at once")
        self._parts.append(data)

    def ended(self) -> bytes:
        return b"".join(self._parts)


class Lines(_Body):
    """A body of lines, each handed on as soon as it is whole; at most `LINE_MAX` bytes of one are kept."""

    def __init__(self, connection: Connection, line: Callable[[bytes], None]) -> None:
        super().__init__(connection)
        self._line = line
        self._parts: list[bytes] = []
        self._length = 0

    def take(self, data: bytes) -> None:
        first, *more = data.split(b"\n")
        self._keep(first)
        for following in more:
            whole = b"".join(self._parts)
            self._parts, self._length = [], 0
            if whole.strip():
                self._line(whole)
            if self.finished.called:
                # What the line was about made somebody end this.
                return
            self._keep(following)

    def _keep(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > LINE_MAX:
            raise Garbage(f"the API server sent an event of more than {LINE_MAX} bytes")
        if data:
            self._parts.append(data)

    def ended(self) -> bytes:
        """A line without an end was cut, and nothing of it counts."""
        return b""


def decoded(data: bytes) -> dict[str, Any]:
    """JSON as a map. Raises Garbage, for nesting without measure too."""
    try:
        found = orjson.loads(data)
    except ValueError as error:
        raise Garbage(f"the API server sent what is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Garbage("the API server sent JSON that is not a map")
    return found


async def within(clock: Any, limit_s: float, work: Awaitable[Any], words: str) -> Any:
    """The work's result. Raises ApiError with these words when it takes longer."""
    running = Deferred.fromCoroutine(_awaiting(work))
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        running.cancel()

    timer = clock.callLater(limit_s, expire)
    try:
        return await running
    except CancelledError:
        if expired:
            raise ApiError(words) from None
        raise
    finally:
        if timer.active():
            timer.cancel()


async def _awaiting(work: Awaitable[Any]) -> Any:
    return await work


async def _bytes(body: _Whole) -> bytes:
    return await body.finished


def _is_cancelled(error: BaseException) -> bool:
    """Whether somebody gave the request up; the HTTP client packs that like everything else."""
    inner = getattr(error, "reasons", None)
    if isinstance(inner, list):
        return any(isinstance(each, Failure) and each.value is not None and _is_cancelled(each.value) for each in inner)
    return isinstance(error, (CancelledError, ConnectingCancelledError))


def _refusal(response: IResponse, body: bytes) -> ApiError:
    try:
        data = decoded(body)
    except Garbage:
        data = {}
    said = response.headers.getRawHeaders(b"retry-after", [b""])[0]
    after = min(float(said), _RETRY_AFTER_MAX_S) if said.isdigit() and len(said) < 10 else 0.0
    return from_status(data, response.code, after)
