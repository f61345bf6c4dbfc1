"""Frames as bytes: masks, headers, the fields of a Close (RFC 6455 5.2 to 5.5)."""

from __future__ import annotations

import os
from collections.abc import Callable

from autobahn.websocket.xormasker import create_xor_masker  # type: ignore[attr-defined]

TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

FIN = 0x80
COMPRESSED = 0x40
"""RSV1: the message was deflated (RFC 7692 6)."""
MASKED = 0x80

CONTROL_LIMIT = 125
"""Bytes that a control frame may carry."""
_REASON_LIMIT = CONTROL_LIMIT - 2

_KEY_BLOCK = 4096
# Up to here one XOR of big integers is faster than the set-up of autobahn's masker.
_SMALL = 1024


class MaskKeys:
    """Masking keys, drawn in blocks.

    Args:
        entropy: as `os.urandom`. RFC 6455 5.3 wants keys that nobody can predict.
    """

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy
        self._block = b""
        self._used = 0

    def draw(self) -> bytes:
        """The next key, 4 bytes."""
        used = self._used
        if used >= len(self._block):
            self._block = self._entropy(_KEY_BLOCK)
            used = 0
        self._used = used + 4
        return self._block[used : used + 4]

    def __repr__(self) -> str:
        return f"<MaskKeys {(len(self._block) - self._used) // 4} left>"


KEYS = MaskKeys()
"""What every connection of this process draws from."""


def mask(payload: bytes, key: bytes) -> bytes:
    """Payload masked with a key of 4 bytes, or unmasked: it is the same (RFC 6455 5.3)."""
    size = len(payload)
    if size > _SMALL:
        masked: bytes = create_xor_masker(key, size).process(payload)
        return masked
    stream = (key * ((size + 3) >> 2))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(stream, "little")).to_bytes(size, "little")


def frame(first: int, payload: bytes, keys: MaskKeys | None) -> bytes:
    """One frame.

    Args:
        first: the first byte: FIN, RSV and opcode. keys: where the mask comes from, or None for a frame without one.
    """
    size = len(payload)
    if keys is None:
        if size <= CONTROL_LIMIT:
            return bytes((first, size)) + payload
        return _long_header(first, size, 0) + payload
    key = keys.draw()
    if size <= CONTROL_LIMIT:
        return bytes((first, MASKED | size)) + key + mask(payload, key)
    return b"".join((_long_header(first, size, MASKED), key, mask(payload, key)))


def _long_header(first: int, size: int, masked: int) -> bytes:
    if size <= 0xFFFF:
        return bytes((first, masked | 126)) + size.to_bytes(2, "big")
    return bytes((first, masked | 127)) + size.to_bytes(8, "big")


def header_size(data: bytes, offset: int = 0) -> int:
    """Bytes of the header that begins at `offset`; 2 as long as not more is known."""
    if offset + 2 > len(data):
        return 2
    second = data[offset + 1]
    size = 6 if second & MASKED else 2
    length = second & 0x7F
    if length <= CONTROL_LIMIT:
        return size
    return size + (2 if length == 126 else 8)


def span(data: bytes, offset: int) -> int:
    """Bytes of the frame at `offset`, header and all; 0 if its header is not complete."""
    header = header_size(data, offset)
    start = offset + 2
    if offset + header > len(data):
        return 0
    length = data[offset + 1] & 0x7F
    if length > CONTROL_LIMIT:
        length = int.from_bytes(data[start : start + (2 if length == 126 else 8)], "big")
    return header + length


def may_be_sent(code: int) -> bool:
    """Whether a Close may carry this code: those of the IANA registry, applications' own and private ones (RFC 6455 7.4.2).

    1004, 1005, 1006 and 1015 never stand on the wire.
    """
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))


def close_payload(code: int | None, reason: bytes) -> bytes:
    """What a Close carries; nothing at all without a code. The reason is cut where it must be, never inside a character."""
    if code is None:
        return b""
    if len(reason) > _REASON_LIMIT:
        reason = reason[:_REASON_LIMIT].decode("utf-8", "ignore").encode()
    return code.to_bytes(2, "big") + reason
