"""One question to Consul's agent: the health of a service (HTTP API, `/v1/health/service/:service`; features: blocking queries,
consistency modes). The answer is judged by its status and headers; what its body says is up to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson

from edgegw.discovery.api.client import Answer, HttpClient, retry_after_s
from edgegw.discovery.api.errors import ApiError, Garbage, one_line
from edgegw.discovery.consul.access import AgentAccess

BODY_MAX = 4 * 1024 * 1024
"""Bytes. Reading that much stops the loop for some 25 ms; it is between two and three thousand instances."""
CONTACT_S = 10.0
"""A server that has not heard of its leader for so long says what may be old."""

_INDEX_DIGITS = 19


class Query(NamedTuple):
    """What is asked. tags: all of them must be there. namespace: of Enterprise."""

    service: str
    tags: tuple[str, ...] = ()
    dc: str = ""
    namespace: str = ""
    passing: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """index: at least 1. entries: nobody has looked at them yet. doubt: why they may be old, empty if they are not. partial: the
    token does not see everything.
    """

    index: int
    entries: list[Any]
    doubt: str = ""
    partial: bool = False


class ConsulClient:
    """Asks one agent.

    Args:
        consistency: stale, default or consistent. wait_s: for how long a question may be held back. timeout_s: for an answer.
    """

    def __init__(
        self, http: HttpClient, access: AgentAccess, consistency: str, wait_s: float = 15.0, timeout_s: float = 5.0
    ) -> None:
        self._http = http
        self._access = access
        self._consistency = consistency
        self._wait_s = wait_s
        self._timeout_s = timeout_s

    async def ask(self, query: Query, index: int) -> Reply:
        """The service's instances.

        Args:
            index: of the reply before: it is held back until there is another one. 0: at once.

        Raises:
            ApiError: there is no answer, or it is of no use.
        """
        target = self._target(query, index)
        # The agent adds up to a sixteenth to `wait`, so that not all questions end together.
        limit_s = self._timeout_s + (self._wait_s * 17 / 16 if index else 0.0)
        access = self._access.access()
        answer = await self._http.get(access, target, _headers(access.token), limit_s, BODY_MAX)
        if answer.status in (401, 403):
            fresh = self._access.access()
            if fresh.token != access.token:
                # The token was replaced while the question was held back.
                answer = await self._http.get(fresh, target, _headers(fresh.token), limit_s, BODY_MAX)
        if answer.status != 200:
            raise _refusal(answer, query, bool(access.token))
        return _reply(answer)

    def stop(self) -> Any:
        """Closes what is open."""
        return self._http.stop()

    def _target(self, query: Query, index: int) -> str:
        params = [("tag", tag) for tag in query.tags]
        params += [("dc", query.dc), ("ns", query.namespace), ("passing", "1" if query.passing else "")]
        if self._consistency != "default":
            params.append((self._consistency, "1"))
        if index:
            params += [("index", str(index)), ("wait", f"{round(self._wait_s * 1000)}ms")]
        said = urlencode([each for each in params if each[1]], quote_via=quote)
        return f"/v1/health/service/{quote(query.service, safe='')}?{said}"

    def __repr__(self) -> str:
        return f"<ConsulClient {self._access!r}>"


def _headers(token: str) -> Mapping[str, str]:
    # In a header it does not show up in access logs on the way.
    return {"Accept": "application/json", **({"X-Consul-Token": token} if token else {})}


def _reply(answer: Answer) -> Reply:
    headers = answer.headers
    index = headers.get("x-consul-index", "")
    if not (index.isascii() and index.isdigit() and len(index) <= _INDEX_DIGITS):
        raise Garbage(f"the agent's answer has no index ({one_line(index)})" if index else _NO_INDEX)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Garbage("the agent's answer is compressed, which was not asked for")
    try:
        entries = orjson.loads(answer.body)
    except ValueError as error:
        raise Garbage(f"the agent sent what is not JSON: {error}"[:200]) from None
    if not isinstance(entries, list):
        raise Garbage("the agent sent JSON that is not a list")
    partial = headers.get("x-consul-results-filtered-by-acls", "").lower() == "true"
    # An index of 0 is a bug of the agent's; 1 is always safe to wait on (blocking queries, implementation details).
    return Reply(max(int(index), 1), entries, _doubt(headers), partial)


_NO_INDEX = "the answer has no X-Consul-Index: this is no Consul agent"


def _doubt(headers: Mapping[str, str]) -> str:
    contact = headers.get("x-consul-lastcontact", "0")
    # In milliseconds.
    contact_s = int(contact) / 1000 if contact.isascii() and contact.isdigit() and len(contact) < 16 else 0.0
    # The streaming backend never knows of a leader, nor of a contact: it is the stream that is current (hashicorp/consul#9776).
    streamed = headers.get("x-consul-query-backend") == "streaming" or not contact_s
    if headers.get("x-consul-knownleader") == "false" and not streamed:
        return "its servers have no leader, what they say may be old"
    if contact_s > CONTACT_S:
        return f"the server that answers has not heard of its leader for {contact_s:.0f} s, what it says may be old"
    return ""


def _refusal(answer: Answer, query: Query, has_token: bool) -> ApiError:
    status = answer.status
    said = answer.body[:1000].decode(errors="replace").strip()
    words = f"the agent answered {status}: {one_line(said) if said else 'it does not say why'}"
    if status in (401, 403):
        right = f'service:read on "{query.service}" and node:read'
        words += f"; the token needs {right}" if has_token else f"; name a `token_file` that has {right}"
    elif status == 404:
        words += "; is `url` that of a Consul agent?"
    elif status == 429:
        words += "; it limits requests, see `limits` of its configuration"
    elif 300 <= status < 400:
        words += "; redirects are not followed"
    return ApiError(words, status, retry_after_s(answer.headers))
