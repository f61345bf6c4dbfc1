"""Asks a gRPC server whether it serves (grpc/grpc doc/health-checking.md, `grpc.health.v1.Health/Check`).

The two messages have one field each, so they are written and read by hand.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import Body
from edgegw.exchange.model import Response
from edgegw.net.call import Call
from edgegw.runtime.wheel import Wheel
from edgegw.wire.events import ResponseHead
from edgegw.wire.grpc import GRPC, PREFIX, Code, decode_message, format_timeout, frame, is_grpc
from edgegw.wire.headers import Field

CHECK = "/grpc.health.v1.Health/Check"
_LARGEST = 4096
"""Bytes of an answer; what is right has seven."""

_SERVICE = b"\x0a"
_STATUS = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class Sender(Protocol):
    """An upstream HTTP/2 connection: `edgegw.net.http2_upstream.Http2Upstream`."""

    wheel: Wheel

    def send(self, call: Call) -> Deferred[Response]:
        """Put a request on the wire."""


class HealthStatus(IntEnum):
    """`HealthCheckResponse.ServingStatus`."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


async def check(connection: Sender, authority: bytes, service: str, timeout_s: float) -> HealthStatus:
    """Ask once.

    Args:
        connection: an HTTP/2 connection with room for a stream. authority: Host of the server. service: its name as the server's
        health service knows it; empty for the server as a whole. timeout_s: for all of it.

    Raises:
        GatewayError: 502 `health_check_failed`: the answer is none, or the server has no health service; 504
            `health_check_timeout`; whatever happens to the connection.
    """
    running = Deferred.fromCoroutine(_ask(connection, authority, service, timeout_s))
    deadline = connection.wheel.deadline(running.cancel)
    deadline.set(timeout_s)
    try:
        return await running
    except CancelledError:
        if deadline.active:
            # Whoever waits for us has given up.
            raise
        raise _late(timeout_s) from None
    finally:
        deadline.drop()


async def _ask(connection: Sender, authority: bytes, service: str, timeout_s: float) -> HealthStatus:
    fields: list[Field] = [
        (b"host", b"Host", authority),
        (b"content-type", b"Content-Type", GRPC),
        (b"te", b"TE", b"trailers"),
        (b"grpc-timeout", b"grpc-timeout", format_timeout(timeout_s)),
        (b"user-agent", b"User-Agent", b"edgegw-health"),
    ]
    message = frame(encode_request(service))
    # Our own deadline is for all of it, so the connection's need not come first.
    call = Call("POST", CHECK, fields, Body.of(message), len(message), (timeout_s + 1.0, timeout_s + 1.0), _ignore)
    response = await connection.send(call)
    if response.status != 200 or not is_grpc(response.headers.get(b"content-type")):
        response.body.cancel()
        raise _failed(f"HTTP status {response.status}, not an answer of gRPC")
    data = await response.body.read(_LARGEST)
    ended = {lower: value for lower, _, value in (*response.headers.fields, *response.body.trailers)}
    code = ended.get(b"grpc-status", b"")
    if code == b"%d" % Code.NOT_FOUND:
        return HealthStatus.SERVICE_UNKNOWN
    if code == b"%d" % Code.DEADLINE_EXCEEDED:
        # The server keeps to our grpc-timeout, and was a moment faster.
        raise _late(timeout_s)
    if code != b"0":
        raise _failed(f"grpc-status {code.decode('latin-1')}: {decode_message(ended.get(b'grpc-message', b''))}"[:200])
    if data[:1] != b"\0" or len(data) < PREFIX or int.from_bytes(data[1:PREFIX], "big") != len(data) - PREFIX:
        raise _failed("not one message")
    return decode_response(data[PREFIX:])


def encode_request(service: str) -> bytes:
    """A `HealthCheckRequest`; an empty string is left out, as proto3 does."""
    name = service.encode("utf-8")
    return _SERVICE + _varint(len(name)) + name if name else b""


def decode_response(message: bytes) -> HealthStatus:
    """The status in a `HealthCheckResponse`; fields that are not known are skipped, and so are statuses.

    Raises:
        GatewayError: 502 `health_check_failed`.
    """
    status = 0
    at = 0
    try:
        while at < len(message):
            tag, at = _read_varint(message, at)
            field, kind = tag >> 3, tag & 7
            if kind == _VARINT:
                value, at = _read_varint(message, at)
                status = value if field == _STATUS else status
            elif kind == _BYTES:
                size, at = _read_varint(message, at)
                at += size
            else:
                at += {_FIXED64: 8, _FIXED32: 4}[kind]
    except (IndexError, KeyError):
        raise _failed(f"{message[:32]!r} is not a message") from None
    if at > len(message):
        raise _failed("the message is cut off")
    return HealthStatus(status) if status in HealthStatus.__members__.values() else HealthStatus.UNKNOWN


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at this place and the place behind it. Raises IndexError when it has no end."""
    number = 0
    for shift in range(_LONGEST_VARINT):
        byte = data[at + shift]
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, at + shift + 1
    raise IndexError(at)


def _failed(detail: str) -> GatewayError:
    return GatewayError(502, "health_check_failed", side=Side.UPSTREAM, phase=Phase.RESPONSE_BODY, detail=detail)


def _late(timeout_s: float) -> GatewayError:
    detail = f"not within {timeout_s:g} s"
    return GatewayError(504, "health_check_timeout", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD, detail=detail)


def _ignore(_: ResponseHead) -> None:
    """1xx heads are nobody's business."""
