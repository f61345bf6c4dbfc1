"""Requests to the API server: one JSON answer, or a stream of JSON lines. What comes of them is a value or an `ApiError`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from twisted.internet.defer import Deferred

from edgegw.discovery.api.access import Access
from edgegw.discovery.api.client import Arriving, HttpClient, retry_after_s
from edgegw.discovery.api.deadline import within
from edgegw.discovery.api.errors import ApiError, Garbage
from edgegw.discovery.kubernetes.credentials import Credentials
from edgegw.discovery.kubernetes.errors import from_status
from edgegw.net.resolver import Resolver

LINE_MAX = 1024 * 1024
"""Bytes of one event; etcd takes no object above 1.5 MiB, and no EndpointSlice comes near."""

PAGE_MAX = 32 * 1024 * 1024
GET_S = 10.0
_STATUS_MAX = 64 * 1024

Params = Mapping[str, str]


class KubernetesClient:
    """Speaks with one API server.

    Args:
        reactor: for sockets and time. agent: the User-Agent, by which its operators find us.
    """

    def __init__(self, reactor: Any, resolver: Resolver, credentials: Credentials, agent: str = "edgegw") -> None:
        self._reactor = reactor
        self._credentials = credentials
        self._http = HttpClient(reactor, resolver, agent)

    async def get(self, path: str, params: Params, limit_s: float = GET_S) -> dict[str, Any]:
        """One answer, a map. Cancelling it closes the connection. Raises ApiError."""
        # That may take longer: a command is run for it.
        access = await self._credentials.current()
        return await within(self._reactor, limit_s, self._get(access, path, params))

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
        access = await self._credentials.current()
        watching = self._watch(access, path, params, opened, line)
        await within(self._reactor, limit_s, watching, "the watch did not end in its time")

    def stop(self) -> Deferred[None]:
        """Closes what is open, for good. Fires when it is closed."""
        return self._http.stop()

    async def _get(self, access: Access, path: str, params: Params) -> dict[str, Any]:
        arriving = await self._begin(access, path, params)
        return decoded(await arriving.whole(PAGE_MAX))

    async def _watch(
        self, access: Access, path: str, params: Params, opened: Callable[[], None], line: Callable[[bytes], None]
    ) -> None:
        arriving = await self._begin(access, path, params)
        opened()
        await arriving.lines(line, LINE_MAX)

    async def _begin(self, access: Access, path: str, params: Params) -> Arriving:
        """An answer whose status is 200, its body still to come. Raises ApiError."""
        arriving = await self._request(access, path, params)
        if arriving.status == 401:
            arriving.close()
            fresh = await self._credentials.renewed(access)
            if fresh is None:
                raise ApiError("the API server does not accept our credentials (401)", 401)
            arriving = await self._request(fresh, path, params)
        if arriving.status != 200:
            raise _refusal(arriving, await within(self._reactor, GET_S, arriving.whole(_STATUS_MAX)))
        return arriving

    async def _request(self, access: Access, path: str, params: Params) -> Arriving:
        target = quote(path) + (f"?{urlencode(params)}" if params else "")
        headers = {"Accept": "application/json"}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        return await self._http.begin(access, target, headers, GET_S)

    def __repr__(self) -> str:
        return f"<KubernetesClient {self._credentials!r}, {self._http!r}>"


def decoded(data: bytes) -> dict[str, Any]:
    """JSON as a map. Raises Garbage, for nesting without measure too."""
    try:
        found = orjson.loads(data)
    except ValueError as error:
        raise Garbage(f"the API server sent what is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Garbage("the API server sent JSON that is not a map")
    return found


def _refusal(arriving: Arriving, body: bytes) -> ApiError:
    try:
        data = decoded(body)
    except Garbage:
        data = {}
    return from_status(data, arriving.status, retry_after_s(arriving.headers))
