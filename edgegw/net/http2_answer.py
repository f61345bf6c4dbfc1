"""Puts a response into HTTP/2 framing (RFC 9113 8.1): which fields leave, and whether a body follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from edgegw.errors import GatewayError, Phase
from edgegw.exchange.model import Exchange, Response
from edgegw.wire.headers import Field

# Of a handshake that HTTP/2 does without (RFC 8441 5).
_OF_UPGRADE = frozenset((b"connection", b"upgrade", b"sec-websocket-accept"))


class Framed(NamedTuple):
    """fields: as handed to the codec, which leaves out what belongs to a connection. bodiless: END_STREAM comes with the head."""

    fields: list[Field]
    bodiless: bool


def frame_answer(exchange: Exchange, response: Response, date: Callable[[], Field]) -> Framed:
    """Decide the framing of a response.

    Args:
        date: the field to add when the response has no Date (RFC 9110 6.6.1).

    Raises:
        GatewayError: 501 `websocket_off` for a success that would say to an extended CONNECT that it is open (RFC 8441 5); 500
            `informational_answer` for a status below 200, which ends nothing; `response_length_mismatch` for a body
            that is known not to be as long as announced.
    """
    status, headers, body = response.status, response.headers, response.body
    length, bodiless = body.length, False
    fields = headers.fields
    first = headers.first()
    if response.takeover is not None:
        fields = [field for field in fields if field[0] not in _OF_UPGRADE]
    elif exchange.head.upgrade and 200 <= status < 300:
        raise GatewayError(
            501, "websocket_off", phase=Phase.POLICY, detail="the target of this route opens no WebSocket"
        )
    elif status < 200:
        raise GatewayError(500, "informational_answer", phase=Phase.SEND, detail=f"{status} as the final answer")
    elif exchange.head.method == "HEAD" or status == 304:
        bodiless = True
        if length and b"content-length" not in first and exchange.head.method == "HEAD":
            fields = [*fields, (b"content-length", b"Content-Length", b"%d" % length)]
    elif status == 204:
        bodiless = True
        fields = [field for field in fields if field[0] != b"content-length"]
    elif length is not None:
        if body.size > length or (body.ended and body.size != length):
            raise GatewayError(500, "response_length_mismatch", phase=Phase.SEND)
        fields = [field for field in fields if field[0] != b"content-length"]
        if not body.trailers and (length or not _is_grpc(first)):
            fields.append((b"content-length", b"Content-Length", b"%d" % length))
        bodiless = not length and body.ended and not body.trailers
    elif b"content-length" in first:
        fields = [field for field in fields if field[0] != b"content-length"]
    if b"date" not in first:
        fields = [*fields, date()]
    return Framed(fields, bodiless)


def _is_grpc(first: dict[bytes, bytes]) -> bool:
    # A trailers-only answer has no length: some clients take one for a body that is to come.
    return first.get(b"content-type", b"").startswith(b"application/grpc")
