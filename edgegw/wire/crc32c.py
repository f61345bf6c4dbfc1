"""CRC-32C (Castagnoli), as PROXY protocol and SCTP use it: RFC 9260 appendix A (RFC 4960 appendix B)."""

from __future__ import annotations

_POLYNOMIAL = 0x82F63B78
"""0x1EDC6F41, bits reversed."""


def _row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(map(_row, range(256)))


def crc32c(data: bytes) -> int:
    """The checksum of a few hundred bytes, 0 to 2^32-1. A loop in Python: not for bodies."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
