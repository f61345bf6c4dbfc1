"""PROXY protocol, versions 1 (text) and 2 (binary): a reader for the start of a connection, and the two writers.

After HAProxy's proxy-protocol.txt, whose sections the comments name. Nothing is guessed: bytes that are not exactly a header are a
fault, as early as that can be known, and nothing is looked at before a header is whole (section 2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from edgegw.wire.crc32c import crc32c
from edgegw.wire.proxy_header import (
    AUTHORITY,
    CRC32C,
    NO_TLVS,
    SSL,
    UNIQUE_ID,
    ProxyAddress,
    ProxyFault,
    ProxyHeader,
    ProxySsl,
)
from edgegw.wire.proxy_tlv import UNIQUE_ID_MAX, TlvError, Tlvs, read_tlvs, write_ssl, write_tlvs

V1_MAX = 107
"""The longest line, CR LF included (section 2.1)."""

V2_MAX = 16 + 2048
"""The longest header of version 2 that is read: addresses of UNIX sockets, and far more TLVs than anybody sends."""

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_WORD = b"PROXY "
_FIXED = 16
_LOCAL, _PROXY = 0x20, 0x21
_STREAM, _DATAGRAM = 1, 2
# Address family -> bytes of both addresses, and of the ports behind them.
_SIZES = {1: (8, 4), 2: (32, 4), 3: (216, 0)}
_UNIX_PATH = 108

_LINE = re.compile(
    rb"PROXY (?:(TCP[46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) ([0-9]{1,5}) ([0-9]{1,5})|UNKNOWN(?: .*)?)", re.DOTALL
)


class _Bad(Exception):
    """A fault on its way out. Its arguments: those of `ProxyFault`."""


class ProxyReader:
    """Reads one header from the first bytes of a connection, in whatever pieces they come.

    Args:
        limit: bytes of a version 2 header, at most.

    Attributes:
        rest: what came behind the header.
    """

    __slots__ = ("_buffer", "_limit", "_outcome", "rest")

    def __init__(self, limit: int = V2_MAX) -> None:
        self._limit = limit
        self._buffer = b""
        self._outcome: ProxyHeader | ProxyFault | None = None
        self.rest = b""

    def receive(self, data: bytes) -> ProxyHeader | ProxyFault | None:
        """The header, what is wrong, or None as long as more bytes are needed. Never raises.

        What was found once is found again by later calls; they add to `rest`, unless it is a fault.
        """
        if self._outcome is None:
            try:
                self._outcome = self._read(self._buffer + data)
            except _Bad as bad:
                self._buffer = b""
                self._outcome = ProxyFault(*bad.args)
        elif isinstance(self._outcome, ProxyHeader):
            self.rest += data
        return self._outcome

    def _read(self, data: bytes) -> ProxyHeader | None:
        size = self._size(data)
        if not size or len(data) < size:
            # At most a header less one byte is kept.
            self._buffer = data
            return None
        header = _parse_v1(data[: size - 2]) if data.startswith(_WORD) else _parse_v2(data[:size])
        self._buffer, self.rest = b"", data[size:]
        return header

    def _size(self, data: bytes) -> int:
        """Bytes of the header, or 0 if it can't be said yet."""
        if data.startswith(SIGNATURE):
            return self._size_v2(data) if len(data) >= _FIXED else 0
        if data.startswith(_WORD):
            return _size_v1(data)
        if not SIGNATURE.startswith(data) and not _WORD.startswith(data):
            raise _Bad("proxy_header_missing", f"it begins with {data[: len(SIGNATURE)]!r}")
        return 0

    def _size_v2(self, data: bytes) -> int:
        size = _FIXED + int.from_bytes(data[14:_FIXED], "big")
        if size > self._limit:
            raise _Bad("proxy_header_too_long", f"it announces {size} bytes; at most {self._limit} are read")
        return size


def _size_v1(data: bytes) -> int:
    end = data.find(b"\n", 0, V1_MAX)
    if end < 0:
        if len(data) >= V1_MAX:
            raise _Bad("proxy_header_too_long", f"no line of version 1 ends within {V1_MAX} bytes")
        return 0
    if data[end - 1] != 0x0D:
        raise _Bad("proxy_header_malformed", "a line feed without a carriage return")
    return end + 1


def _parse_v1(line: bytes) -> ProxyHeader:
    found = _LINE.fullmatch(line)
    if found is None:
        raise _Bad("proxy_header_malformed", f"not a line of version 1: {line!r}")
    family, source, destination, source_port, destination_port = found.groups()
    if family is None:
        # Section 2.1: whatever stands behind UNKNOWN is ignored.
        return ProxyHeader(1, False, None, None)
    return ProxyHeader(1, False, _address(family, source, source_port), _address(family, destination, destination_port))


def _address(family: bytes, host: bytes, port: bytes) -> ProxyAddress:
    kind = IPv4Address if family == b"TCP4" else IPv6Address
    try:
        address = kind(host.decode("ascii"))
    except ValueError as error:
        raise _Bad("proxy_header_malformed", str(error)) from None
    number = int(port)
    if number > 65535 or (len(port) > 1 and port.startswith(b"0")):
        raise _Bad("proxy_header_malformed", f"{port.decode('ascii')} is not a port")
    return ProxyAddress(str(address), number)


def _parse_v2(data: bytes) -> ProxyHeader:
    command, family, transport = data[12], data[13] >> 4, data[13] & 15
    if command == _LOCAL:
        # Section 2.2: the rest is discarded, the family included.
        return ProxyHeader(2, True, None, None)
    if command != _PROXY:
        raise _Bad("proxy_header_malformed", f"version and command are 0x{command:02x}")
    if family > 3 or transport > 2:
        raise _Bad("proxy_header_malformed", f"family and transport are 0x{data[13]:02x}")
    if transport == _DATAGRAM:
        raise _Bad("proxy_not_stream", "it announces datagrams")
    if family == 0 or transport != _STREAM:
        # What stands behind can't be told apart, and is to be ignored.
        return ProxyHeader(2, False, None, None)
    addresses, ports = _SIZES[family]
    if len(data) < _FIXED + addresses + ports:
        raise _Bad("proxy_header_malformed", "it is too short for its addresses")
    source, destination = _addresses(data, family, addresses)
    tlvs = _tlvs(data, _FIXED + addresses + ports)
    return ProxyHeader(2, False, source, destination, tlvs.values, tlvs.ssl)


def _addresses(data: bytes, family: int, size: int) -> tuple[ProxyAddress, ProxyAddress]:
    middle, end = _FIXED + size // 2, _FIXED + size
    first, second = data[_FIXED:middle], data[middle:end]
    if family == 3:
        return ProxyAddress("", 0, first.rstrip(b"\0")), ProxyAddress("", 0, second.rstrip(b"\0"))
    kind = IPv4Address if family == 1 else IPv6Address
    ports = (int.from_bytes(data[at : at + 2], "big") for at in (end, end + 2))
    source, destination = (ProxyAddress(str(kind(raw)), port) for raw, port in zip((first, second), ports, strict=True))
    return source, destination


def _tlvs(data: bytes, start: int) -> Tlvs:
    try:
        tlvs = read_tlvs(data, start)
    except TlvError as error:
        raise _Bad("proxy_tlv_malformed", str(error)) from None
    at = tlvs.checksum_at
    if at >= 0 and crc32c(data[:at] + bytes(4) + data[at + 4 :]) != int.from_bytes(data[at : at + 4], "big"):
        raise _Bad("proxy_checksum_wrong", "the checksum is that of other bytes")
    return tlvs


def encode_v1(source: ProxyAddress | None, destination: ProxyAddress | None) -> bytes:
    """A line of version 1; UNKNOWN where an end is None or on a UNIX socket. An IPv4 end beside an IPv6 one is written as IPv6.

    Raises:
        ValueError: a host is no IP address, or a port none.
    """
    family, hosts, ports = _binary(source, destination)
    if family not in (1, 2):
        return b"PROXY UNKNOWN\r\n"
    kind, word = (IPv4Address, "TCP4") if family == 1 else (IPv6Address, "TCP6")
    first, second = (kind(host) for host in hosts)
    return f"PROXY {word} {first} {second} {ports[0]} {ports[1]}\r\n".encode("ascii")


def encode_v2(
    source: ProxyAddress | None,
    destination: ProxyAddress | None,
    tlvs: Mapping[int, bytes] = NO_TLVS,
    *,
    local: bool = False,
    checksum: bool = False,
) -> bytes:
    """A header of version 2; UNSPEC where an end is None. An IPv4 end beside an IPv6 one is written as IPv6.

    Args:
        tlvs: by type, see `proxy_tlvs`. local: the connection is our own, not made for somebody else; addresses are left out.
        checksum: add a CRC32C.

    Raises:
        ValueError: a host is no IP address, a port none, a path longer than 108 bytes, or all of it longer than a header can be.
    """
    family, hosts, ports = (0, (), ()) if local else _binary(source, destination)
    addresses = b"".join([*hosts, *(port.to_bytes(2, "big") for port in ports)])
    trailer = write_tlvs(tlvs) + (write_tlvs({CRC32C: bytes(4)}) if checksum else b"")
    size = len(addresses) + len(trailer)
    if size > 65535:
        raise ValueError(f"{size} bytes do not fit into a PROXY header")
    fixed = bytes((_LOCAL if local else _PROXY, family << 4 | _STREAM if family else 0)) + size.to_bytes(2, "big")
    header = b"".join((SIGNATURE, fixed, addresses, trailer))
    return header[:-4] + crc32c(header).to_bytes(4, "big") if checksum else header


def proxy_tlvs(
    *, authority: str | None = None, unique_id: bytes | None = None, ssl: ProxySsl | None = None
) -> dict[int, bytes]:
    """The TLVs that say this.

    Raises:
        ValueError: the id is longer than 128 bytes.
    """
    values: dict[int, bytes] = {}
    if authority is not None:
        values[AUTHORITY] = authority.encode("utf-8")
    if unique_id is not None:
        if len(unique_id) > UNIQUE_ID_MAX:
            raise ValueError(f"a unique id has at most {UNIQUE_ID_MAX} bytes")
        values[UNIQUE_ID] = unique_id
    if ssl is not None:
        values[SSL] = write_ssl(ssl)
    return values


def _binary(
    source: ProxyAddress | None, destination: ProxyAddress | None
) -> tuple[int, tuple[bytes, ...], tuple[int, ...]]:
    """Address family, both addresses and both ports as they are sent; family 0 where there is nothing to send."""
    if source is None or destination is None or bool(source.host) != bool(destination.host):
        return 0, (), ()
    if not source.host:
        return 3, (_path(source.path), _path(destination.path)), ()
    for end in (source, destination):
        if not 0 <= end.port <= 65535:
            raise ValueError(f"{end.port} is not a port")
    ports = (source.port, destination.port)
    hosts = (source.host, destination.host)
    if not any(":" in host for host in hosts):
        return 1, tuple(IPv4Address(host).packed for host in hosts), ports
    # A zone, which means something on this machine only, is not in what is packed.
    return 2, tuple(IPv6Address(host if ":" in host else f"::ffff:{host}").packed for host in hosts), ports


def _path(path: bytes) -> bytes:
    if len(path) > _UNIX_PATH:
        raise ValueError(f"the path of a UNIX socket has at most {_UNIX_PATH} bytes")
    return path.ljust(_UNIX_PATH, b"\0")
