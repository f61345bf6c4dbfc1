"""The only place where a `GatewayError` becomes a `Response`: problem+json (RFC 9457) with the request id, and nothing else.

What a peer learns is the status, its standard title, the gateway's stable name of the reason, and the request id to quote.
Details stay in the log.
"""

from __future__ import annotations

from http import HTTPStatus

import orjson

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Response
from edgegw.wire.headers import Headers

_TITLES = {status.value: status.phrase for status in HTTPStatus}
# The names of RFC 9110, where Python's are older or absent.
_TITLES.update(
    {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
)
_TITLES[499] = "Client Closed Request"

PROBLEM_JSON = (b"content-type", b"Content-Type", b"application/problem+json")
NO_STORE = (b"cache-control", b"Cache-Control", b"no-store")


def render(error: GatewayError, exchange: Exchange) -> Response:
    """The answer for an error.

    A downstream peer that already left (499) is answered all the same; nobody will read it.
    """
    document = {
        "type": "about:blank",
        "title": _TITLES.get(error.status, "Error"),
        "status": error.status,
        "reason": error.reason,
        "request_id": exchange.id,
    }
    headers = Headers([PROBLEM_JSON, NO_STORE])
    for name, value in error.headers:
        headers.add(name, value)
    return Response(error.status, headers, Body.of(orjson.dumps(document)), close=error.close)
