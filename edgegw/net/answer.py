"""Puts a response into HTTP/1.x framing (RFC 9112 6): its head's bytes, and how body and connection go on after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from edgegw.errors import GatewayError, Phase
from edgegw.exchange.model import Exchange, Response
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Field
from edgegw.wire.http1_encode import encode_informational, encode_response_head

# The connection's own business; whatever a target or upstream said about it does not count.
_OWN = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"te",
        b"upgrade",
        b"trailer",
        b"content-length",
    )
)
_OWN_BUT_LENGTH = _OWN - {b"content-length"}
_OWN_OF_TAKEOVER = _OWN - {b"upgrade"}

_CHUNKED: Field = (b"transfer-encoding", b"Transfer-Encoding", b"chunked")
_CLOSE: Field = (b"connection", b"Connection", b"close")
_KEEP_ALIVE: Field = (b"connection", b"Connection", b"keep-alive")
_UPGRADE: Field = (b"connection", b"Connection", b"Upgrade")


class Framed(NamedTuple):
    """head: bytes of the head. keep: the connection lives on. chunked: body data goes in chunks. bodiless: no body follows."""

    head: bytes
    keep: bool
    chunked: bool
    bodiless: bool


def frame_answer(exchange: Exchange, response: Response, keep: bool, date: Callable[[], Field]) -> Framed:
    """Decide the framing of a response and encode its head.

    Args:
        keep: the connection could live on. date: the field to add when the response has no Date (RFC 9110 6.6.1).

    Raises:
        GatewayError: 500 `unsafe_head`; `informational_answer` for a status below 200, which ends nothing;
            `response_length_mismatch` for a body that is known not to be as long as announced.
    """
    head, status, headers = exchange.head, response.status, response.headers
    first = headers.first()
    keep = keep and head.keep_alive and not response.close
    body = response.body
    length = body.length
    bodiless = chunked = False
    own = _OWN
    extra: list[Field] = []
    if response.takeover is not None:
        return _frame_takeover(response, date)
    if head.method == "HEAD" or status == 304:
        bodiless = True
        if b"content-length" in first:
            own = _OWN_BUT_LENGTH
        elif length and head.method == "HEAD":
            extra.append((b"content-length", b"Content-Length", b"%d" % length))
    elif status <= 204 and (status == 204 or status < 200):
        if status < 200:
            raise GatewayError(500, "informational_answer", phase=Phase.SEND, detail=f"{status} as the final answer")
        bodiless = True
    elif length is not None:
        if body.size > length or (body.ended and body.size != length):
            raise GatewayError(
                500, "response_length_mismatch", phase=Phase.SEND, detail=f"{body.size} of {length} bytes"
            )
        said = b"%d" % length
        if headers.get_all(b"content-length") == [said]:
            own = _OWN_BUT_LENGTH
        else:
            extra.append((b"content-length", b"Content-Length", said))
    elif head.version == "1.1":
        chunked = True
        extra.append(_CHUNKED)
    else:
        keep = False
    if not keep:
        extra.append(_CLOSE)
    elif head.version == "1.0":
        extra.append(_KEEP_ALIVE)
    if b"date" not in first:
        extra.append(date())
    kept = headers.fields if own.isdisjoint(first) else [field for field in headers.fields if field[0] not in own]
    return Framed(encode_response_head(status, response.reason, [*kept, *extra]), keep, chunked, bodiless)


def _frame_takeover(response: Response, date: Callable[[], Field]) -> Framed:
    """A 101, or a 2xx to CONNECT: nothing frames what follows (RFC 9110 7.8, 9.3.6)."""
    fields = [field for field in response.headers.fields if field[0] not in _OWN_OF_TAKEOVER]
    if response.status == 101:
        fields.append(_UPGRADE)
    if b"date" not in response.headers:
        fields.append(date())
    return Framed(encode_response_head(response.status, response.reason, fields), True, False, True)


def frame_informational(head: ResponseHead) -> bytes:
    """A 1xx head as it is passed on (RFC 9110 15.2): what it says about the connection it came by is left out.

    Raises:
        GatewayError: 500 `unsafe_head`.
    """
    return encode_informational(head.status, [field for field in head.headers.fields if field[0] not in _OWN])
