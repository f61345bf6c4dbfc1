"""Header blocks to pairs (RFC 7541 6): a loop of our own over the `hpack` library's table and Huffman code.

The library's own loop costs three times as much; a test compares the two on what encoders write and on rubbish.
"""

from __future__ import annotations

from hpack import HPACKDecodingError, HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from edgegw.wire.http2_frames import ConnectionFault
from edgegw.wire.http2_limits import ErrorCode

Pair = tuple[bytes, bytes]

TABLE_SIZE = 4096
"""What the peer's encoder may use: the default of SETTINGS_HEADER_TABLE_SIZE, which we never change."""

_OVERHEAD = 32
_STATIC: tuple[Pair, ...] = ((b"", b""), *HeaderTable.STATIC_TABLE)  # Rows count from 1.
_FIRST_DYNAMIC = len(_STATIC)
_SHIFTS = (0, 7, 14, 21, 28)
_NAMES = 1024
_LONGEST_NAME = 64
# Huffman-coded names repeat, and they are no secrets; bounded.
_names: dict[bytes, bytes] = {}


class BlockDecoder:
    """The blocks of one connection.

    Args:
        most: bytes of a decoded list as RFC 9113 6.5.2 counts them (32 more for each field); past it there is no way on.
    """

    __slots__ = ("_most", "table")

    def __init__(self, most: int) -> None:
        self._most = most
        self.table = HeaderTable()

    def decode(self, block: bytes) -> tuple[list[Pair], bool]:
        """(pairs, changed): changed says that the same block, and all others, may mean something else the next time.

        Raises:
            ConnectionFault: COMPRESSION_ERROR, or ENHANCE_YOUR_CALM for a list past the bound.
        """
        try:
            return self._decode(block)
        except (HPACKError, IndexError) as error:
            detail = str(error) if isinstance(error, HPACKError) else "a truncated block or an index beyond the table"
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "h2_compression", detail) from None

    def _decode(self, block: bytes) -> tuple[list[Pair], bool]:
        table = self.table
        pairs: list[Pair] = []
        changed = False
        at, end, room = 0, len(block), self._most
        while at < end:
            first = block[at]
            at += 1
            if first & 0x80:
                index = first & 0x7F
                if 0 < index < _FIRST_DYNAMIC:
                    pair = _STATIC[index]
                else:
                    if index == 0x7F:
                        index, at = _number(block, at, index)
                    pair = self._row(index)
            elif first & 0x40:
                pair, at = self._literal(block, at, first & 0x3F, 0x3F)
                table.add(*pair)
                changed = True
            elif first & 0x20:
                at = self._resize(block, at, first & 0x1F, bool(pairs))
                changed = True
                continue
            else:
                pair, at = self._literal(block, at, first & 0x0F, 0x0F)
            pairs.append(pair)
            room -= len(pair[0]) + len(pair[1]) + _OVERHEAD
            if room < 0:
                raise ConnectionFault(
                    ErrorCode.ENHANCE_YOUR_CALM, "h2_header_list_too_large", f"more than {self._most} bytes"
                )
        return pairs, changed

    def _row(self, index: int) -> Pair:
        if index >= _FIRST_DYNAMIC:
            return self.table.dynamic_entries[index - _FIRST_DYNAMIC]
        if not index:
            raise HPACKDecodingError("index 0")
        return _STATIC[index]

    def _resize(self, block: bytes, at: int, size: int, late: bool) -> int:
        if size == 0x1F:
            size, at = _number(block, at, size)
        if late or size > TABLE_SIZE:
            raise HPACKDecodingError("the table is resized behind a field, or beyond what was allowed")
        self.table.maxsize = size
        return at

    def _literal(self, block: bytes, at: int, index: int, mask: int) -> tuple[Pair, int]:
        if index == mask:
            index, at = _number(block, at, mask)
        if index:
            name = self._row(index)[0]
        else:
            packed = block[at] & 0x80
            name, at = _string(block, at)
            if packed:
                name = _names.get(name) or _unpack_name(name)
        packed = block[at] & 0x80
        value, at = _string(block, at)
        return (name, decode_huffman(value) if packed else value), at


def _number(block: bytes, at: int, number: int) -> tuple[int, int]:
    """An integer that did not fit its prefix (RFC 7541 5.1), and where it ends."""
    for shift in _SHIFTS:
        byte = block[at]
        at += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise HPACKDecodingError("an integer of more than 32 bits")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """A string as it is on the wire, and where it ends."""
    size = block[at] & 0x7F
    at += 1
    if size == 0x7F:
        size, at = _number(block, at, size)
    stop = at + size
    if stop > len(block):
        raise HPACKDecodingError("a truncated string")
    return block[at:stop], stop


def _unpack_name(packed: bytes) -> bytes:
    name = decode_huffman(packed)
    if len(packed) <= _LONGEST_NAME:
        if len(_names) >= _NAMES:
            _names.clear()
        _names[packed] = name
    return name
