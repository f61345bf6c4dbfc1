"""Messages out of the body of a gRPC response."""

from __future__ import annotations

from edgegw.errors import GatewayError, Phase, Side
from edgegw.wire.grpc import PREFIX


class Frames:
    """Cuts a body into messages.

    Args:
        limit: bytes of the largest message.
    """

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int) -> None:
        self._buffer = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now.

        Raises:
            GatewayError: 502 `grpc_response_too_large`, `grpc_bad_response`: compressed, though nobody said we could read that.
        """
        buffer = self._buffer
        buffer += data
        found: list[bytes] = []
        at = 0
        while len(buffer) - at >= PREFIX:
            length = int.from_bytes(buffer[at + 1 : at + PREFIX], "big")
            if buffer[at]:
                raise bad_response(f"a message with flags {buffer[at]:#04x}")
            if length > self._limit:
                raise bad_response(f"a message of {length} bytes, more than {self._limit}", "grpc_response_too_large")
            end = at + PREFIX + length
            if end > len(buffer):
                break
            found.append(bytes(buffer[at + PREFIX : end]))
            at = end
        if at:
            del buffer[:at]
        return found

    def finish(self) -> None:
        """The body is over. Raises GatewayError: 502 `grpc_bad_response` in the midst of a message."""
        if self._buffer:
            raise bad_response("the body ends within a message")

    def __repr__(self) -> str:
        return f"<Frames waiting={len(self._buffer)}>"


def bad_response(detail: str, reason: str = "grpc_bad_response") -> GatewayError:
    """The upstream's answer is not what gRPC or its own descriptors allow."""
    return GatewayError(502, reason, side=Side.UPSTREAM, phase=Phase.RESPONSE_BODY, detail=detail)
