"""The only place where a `GatewayError` becomes a `Response`: problem+json (RFC 9457) with the request id; for gRPC a grpc-status.

What a peer learns is the status, its standard title, the gateway's stable name of the reason, and the request id to quote.
Details stay in the log.
"""

from __future__ import annotations

from http import HTTPStatus

import orjson

from edgegw.errors import GatewayError
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.model import Exchange, Response
from edgegw.wire.grpc import GRPC, code_of_error, is_grpc, status_fields
from edgegw.wire.grpc_web import answer_type, wants_text, web_kind
from edgegw.wire.headers import Field, Headers

_TITLES = {status.value: status.phrase for status in HTTPStatus}
# The names of RFC 9110, where Python's are older or absent.
_TITLES.update(
    {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
)
_TITLES[499] = "Client Closed Request"

PROBLEM_JSON = (b"content-type", b"Content-Type", b"application/problem+json")
NO_STORE = (b"cache-control", b"Cache-Control", b"no-store")
_LONGEST_PUSHBACK_S = 86400


def render(error: GatewayError, exchange: Exchange) -> Response:
    """The answer for an error.

    A downstream peer that already left (499) is answered all the same; nobody will read it.
    """
    called_as = grpc_type(exchange)
    if called_as:
        return _render_grpc(error, called_as)
    document = {
        "type": "about:blank",
        "title": title(error),
        "status": error.status,
        "reason": error.reason,
        "request_id": exchange.id,
    }
    headers = Headers([PROBLEM_JSON, NO_STORE, *[(name.lower(), name, value) for name, value in error.headers]])
    return Response(error.status, headers, Body.of(orjson.dumps(document)), close=error.close)


def title(error: GatewayError) -> str:
    """The standard name of an error's status."""
    return _TITLES.get(error.status, "Error")


def grpc_type(exchange: Exchange) -> bytes:
    """The content type that a caller over gRPC or gRPC-Web has to be answered with; empty for everybody else.

    Decided by the request as it came: gRPC-Web is translated on its way in.
    """
    came = exchange.head.headers.get(b"content-type")
    if came is None or came[: len(GRPC)].lower() != GRPC:
        return b""
    if is_grpc(came):
        return GRPC
    kind = web_kind(came)
    return answer_type(kind.native, wants_text(kind, exchange.head.headers.get(b"accept"))) if kind is not None else b""


def grpc_status(error: GatewayError) -> list[Field]:
    """The status fields of a call that ended in this error."""
    return status_fields(code_of_error(error.status, error.reason), f"{error.reason}: {title(error)}")


def _render_grpc(error: GatewayError, content_type: bytes) -> Response:
    """Status and message in the head of an empty answer: `Trailers-Only` of gRPC, which gRPC-Web has as well."""
    headers = Headers([(b"content-type", b"Content-Type", content_type), *grpc_status(error)])
    for name, value in error.headers:
        headers.add(name, value)
        if name.lower() == b"retry-after" and value.isdigit():
            # What a client that retries by itself goes by (gRFC A6); Retry-After it does not know.
            pause_ms = min(int(value), _LONGEST_PUSHBACK_S) * 1000
            headers.add(b"grpc-retry-pushback-ms", b"%d" % pause_ms)
    return Response(200, headers, EMPTY, close=error.close)
