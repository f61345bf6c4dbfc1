"""The chunked transfer coding, read strictly (RFC 9112 7.1; reference/trust.md A3.1 F13 to F18)."""

from __future__ import annotations

import re
from typing import NoReturn

from edgegw.wire.headers import Field
from edgegw.wire.http1_fields import FieldTable, Refused, refuse_bad_bytes
from edgegw.wire.http1_framing import LONGEST_LENGTH
from edgegw.wire.http1_limits import TRAILERS_FORBIDDEN, Http1Limits

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_size_line = re.compile(
    rb"([0-9A-Fa-f]{1,16})((?:;[ \t]*" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*)"
).fullmatch
_plain_size = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;|\Z)").match

# Sizes up to 16 KiB as they are usually spelt, which needs no parsing; 0 is not among them, for it ends the body.
_SIZES = {spelt % size: size for size in range(1, 16385) for spelt in (b"%x", b"%X")}

_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)
_LONGEST_SIZE = 16


class ChunkedDecoder:
    """One chunked body. `feed` takes what it can; what it leaves must be offered again with more behind it.

    done: the last trailer was read. trailers: those that are passed on. table: where trailer lines are validated.
    """

    __slots__ = ("_left", "_limits", "_overhead", "_scanned", "_state", "_table", "done", "trailers")

    def __init__(self, limits: Http1Limits, table: FieldTable) -> None:
        self._limits = limits
        self._table = table
        self._state = _SIZE
        self._left = 0
        self._overhead = 0
        self._scanned = 0
        self.done = False
        self.trailers: tuple[Field, ...] = ()

    def feed(self, data: bytes, start: int, parts: list[bytes]) -> int:
        """Decode `data[start:]`, appending body data to `parts`; returns where it stopped.

        Raises:
            Refused: 400.
        """
        end = len(data)
        while start < end and not self.done:
            if self._state == _SIZE:
                after = self._whole_chunks(data, start, parts)
                if after == start:
                    after = self._size(data, start)
            elif self._state == _DATA:
                after = min(end, start + self._left)
                parts.append(data[start:after])
                self._left -= after - start
                if not self._left:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                after = self._data_end(data, start)
            else:
                after = self._trailer_section(data, start)
            if after == start:
                break
            start = after
            self._scanned = 0
        return start

    def _scan(self, data: bytes, start: int, longest: int) -> None:
        """Look at each byte of an unfinished line once, however small the reads."""
        refuse_bad_bytes(data, start + max(0, self._scanned - 1), min(len(data), start + longest))
        self._scanned = len(data) - start

    def _whole_chunks(self, data: bytes, start: int, parts: list[bytes]) -> int:
        """Chunks that are here entirely and say nothing but their size: nearly all, so this loop is what tiny chunks cost."""
        find, sizes = data.find, _SIZES
        while True:
            stop = find(b"\r\n", start, start + 8)
            if stop < 0:
                return start
            size = sizes.get(data[start:stop])
            if size is None:
                return start
            stop += 2
            after = stop + size
            if data[after : after + 2] != b"\r\n":
                return start
            parts.append(data[stop:after])
            start = after + 2

    def _size(self, data: bytes, start: int) -> int:
        cap = self._limits.chunk_overhead + _LONGEST_SIZE - self._overhead
        stop = data.find(b"\r\n", start, start + cap + 2)
        if stop < 0:
            self._refuse_partial_size(data, start, cap)
            return start
        line = data[start:stop]
        found = _size_line(line)
        if found is None:
            _refuse_size(line)
        digits, extensions = found.groups()
        self._overhead += len(extensions)
        if self._overhead > self._limits.chunk_overhead:
            raise Refused(400, "chunk_overhead", "too many chunk extensions in one body")
        self._left = int(digits, 16)
        if self._left > LONGEST_LENGTH:
            raise Refused(400, "chunk_too_large", "a chunk size above 2^63-1")
        self._state = _DATA if self._left else _TRAILERS
        return stop + 2

    def _refuse_partial_size(self, data: bytes, start: int, cap: int) -> None:
        self._scan(data, start, cap + 2)
        if len(data) - start > cap + 1:
            if not _plain_size(data, start):
                raise Refused(400, "bad_chunk_size", "more than 16 digits of chunk size")
            raise Refused(400, "chunk_overhead", "too many chunk extensions in one body")

    def _data_end(self, data: bytes, start: int) -> int:
        if data.startswith(b"\r\n", start):
            self._state = _SIZE
            return start + 2
        if data[start:] != b"\r":
            raise Refused(400, "bad_chunk_end", "chunk data is not followed by CRLF")
        return start

    def _trailer_section(self, data: bytes, start: int) -> int:
        if data.startswith(b"\r\n", start):
            self.done = True
            return start + 2
        cap = start + self._limits.trailer
        stop = data.find(b"\r\n\r\n", start, cap + 4)
        if stop < 0:
            self._scan(data, start, self._limits.trailer)
            if len(data) > cap + 3:
                raise Refused(400, "trailer_too_large", "the trailer section is longer than the cap")
            return start
        try:
            self.trailers = self._read_trailers(data[start:stop].split(b"\r\n"))
        except Refused:
            refuse_bad_bytes(data, start, stop + 1)
            raise
        self.done = True
        return stop + 4

    def _read_trailers(self, lines: list[bytes]) -> tuple[Field, ...]:
        if len(lines) > self._limits.fields:
            raise Refused(400, "trailer_too_large", f"{len(lines)} trailer fields")
        try:
            fields = [self._table[line] for line in lines]
        except Refused as error:
            raise Refused(400, "malformed_trailer", f"{error.reason}: {error.detail}") from None
        allowed = self._limits.trailers_allowed
        return tuple(
            field for field in fields if field[0] not in TRAILERS_FORBIDDEN and (allowed is None or field[0] in allowed)
        )


def _refuse_size(line: bytes) -> NoReturn:
    refuse_bad_bytes(line + b"\r", 0, len(line) + 1)
    if _plain_size(line):
        raise Refused(400, "bad_chunk_extension", "a malformed chunk extension")
    raise Refused(400, "bad_chunk_size", "a chunk size that is not 1 to 16 hex digits")
