"""The TLVs behind the addresses of a PROXY header of version 2 (proxy-protocol.txt, sections 2.2 and 2.2.1 to 2.2.8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from edgegw.wire.proxy_header import (
    ALPN,
    AUTHORITY,
    CRC32C,
    NETNS,
    NOOP,
    SSL,
    SSL_CIPHER,
    SSL_CN,
    SSL_KEY_ALG,
    SSL_SIG_ALG,
    SSL_VERSION,
    UNIQUE_ID,
    ProxySsl,
)

UNIQUE_ID_MAX = 128
_SSL_FIXED = 5
_KNOWN = frozenset({ALPN, AUTHORITY, CRC32C, UNIQUE_ID, SSL, NETNS})
_SSL_KNOWN = frozenset({SSL_VERSION, SSL_CN, SSL_CIPHER, SSL_SIG_ALG, SSL_KEY_ALG})


class TlvError(ValueError):
    """TLVs that are none; the text says why."""


class Tlvs(NamedTuple):
    """What `read_tlvs` found. values: by type, without CRC32C and NOOP. checksum_at: where the CRC32C's 4 bytes begin, or -1."""

    values: dict[int, bytes]
    checksum_at: int
    ssl: ProxySsl | None


def read_tlvs(data: bytes, start: int) -> Tlvs:
    """Read from `start` to the end. Of an unknown type that comes twice the last one counts.

    Raises:
        TlvError: one is cut off, a known one comes twice, or is not what its type says.
    """
    values: dict[int, bytes] = {}
    checksum_at = -1
    for kind, at, value in _split(data, start, _KNOWN):
        if kind == CRC32C:
            if len(value) != 4:
                raise TlvError(f"a CRC32C of {len(value)} bytes")
            checksum_at = at
        elif kind != NOOP:
            values[kind] = value
    if len(values.get(UNIQUE_ID, b"")) > UNIQUE_ID_MAX:
        raise TlvError(f"a unique id of {len(values[UNIQUE_ID])} bytes")
    try:
        values.get(AUTHORITY, b"").decode("utf-8")
    except UnicodeDecodeError:
        raise TlvError("an authority that is not UTF-8") from None
    return Tlvs(values, checksum_at, _read_ssl(values[SSL]) if SSL in values else None)


def _read_ssl(data: bytes) -> ProxySsl:
    if len(data) < _SSL_FIXED:
        raise TlvError(f"an SSL TLV of {len(data)} bytes")
    inner = {kind: value for kind, _, value in _split(data, _SSL_FIXED, _SSL_KNOWN)}
    return ProxySsl(data[0], int.from_bytes(data[1:_SSL_FIXED], "big"), inner)


def _split(data: bytes, start: int, once: frozenset[int]) -> Iterator[tuple[int, int, bytes]]:
    """(type, where the value begins, value), one after the other."""
    seen: set[int] = set()
    end = len(data)
    while start < end:
        at = start + 3
        kind, start = data[start], at + int.from_bytes(data[start + 1 : at], "big")
        if start > end:
            raise TlvError(f"TLV 0x{kind:02x} is longer than the header")
        if kind in seen and kind in once:
            raise TlvError(f"TLV 0x{kind:02x} comes twice")
        seen.add(kind)
        yield kind, at, data[at:start]


def write_tlvs(values: Mapping[int, bytes]) -> bytes:
    """The bytes of TLVs, in this order.

    Raises:
        ValueError: a type is no byte, or a value is longer than 65535 bytes.
    """
    try:
        return b"".join(bytes((kind,)) + len(value).to_bytes(2, "big") + value for kind, value in values.items())
    except OverflowError:
        raise ValueError("a TLV holds at most 65535 bytes") from None


def write_ssl(ssl: ProxySsl) -> bytes:
    """The value of an SSL TLV."""
    return bytes((ssl.client,)) + ssl.verify.to_bytes(4, "big") + write_tlvs(ssl.tlvs)
