"""gRPC over HTTP/2, as far as a gateway reads it: what a call is, its timeout, its status, the prefixes of its messages.

Sources: grpc/grpc doc/PROTOCOL-HTTP2.md, doc/statuscodes.md, doc/http-grpc-status-mapping.md.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from enum import IntEnum

from edgegw.wire.headers import Field

GRPC = b"application/grpc"
PREFIX = 5
"""Bytes before each message: one of flags, four of length."""

LARGEST = 2**32 - 1
"""Bytes of the largest message that a prefix can announce."""

COMPRESSED = 1
_LONGEST_TIMEOUT = 99_999_999
_UNITS_NS = {b"n": 1, b"u": 10**3, b"m": 10**6, b"S": 10**9, b"M": 60 * 10**9, b"H": 3600 * 10**9}

_timeout = re.compile(rb"([0-9]{1,8})([HMSmun])").fullmatch
_unsafe = re.compile(rb"[^\x20-\x24\x26-\x7e]")
_escape = re.compile(rb"%([0-9A-Fa-f]{2})")
_prefix = struct.Struct(">BI")


class Code(IntEnum):
    """What a call ended with (doc/statuscodes.md)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_OF_ERRORS: Mapping[int, Code] = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    405: Code.UNIMPLEMENTED,
    408: Code.DEADLINE_EXCEEDED,
    413: Code.RESOURCE_EXHAUSTED,
    414: Code.RESOURCE_EXHAUSTED,
    421: Code.UNAVAILABLE,
    429: Code.RESOURCE_EXHAUSTED,
    431: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
    505: Code.UNIMPLEMENTED,
    508: Code.INTERNAL,
}
# The status of these says whose fault it was; the code has to say what it was.
_OF_REASONS: Mapping[str, Code] = {
    "grpc_bad_response": Code.INTERNAL,
    "grpc_response_too_large": Code.RESOURCE_EXHAUSTED,
}
_OF_ANSWERS: Mapping[int, Code] = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    431: Code.INTERNAL,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}


_HTTP: Mapping[int, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


def read_code(value: bytes) -> int:
    """The code that a grpc-status says; UNKNOWN if it is no number."""
    return int(value) if value.isdigit() and len(value) <= 9 else int(Code.UNKNOWN)


def http_status(code: int) -> int:
    """The HTTP status of a code, as google/rpc/code.proto has it and Envoy; 500 for one that there is not."""
    return _HTTP.get(code, 500)


def code_of_error(status: int, reason: str = "") -> Code:
    """The code for an error of the gateway's own.

    doc/http-grpc-status-mapping.md, made finer where the gateway knows more than a client that sees a bare status: a deadline, a
    limit, a method that there is not (reference/features.md, row gRPC).
    """
    return _OF_REASONS.get(reason) or _OF_ERRORS.get(status, Code.UNKNOWN)


def code_of_answer(status: int) -> Code:
    """The code for an upstream's answer without grpc-status: to the letter of doc/http-grpc-status-mapping.md."""
    return _OF_ANSWERS.get(status, Code.UNKNOWN)


def is_grpc(content_type: bytes | None) -> bool:
    """Whether a content type is that of a call: `application/grpc`, or with a `+suffix`; gRPC-Web's is not."""
    if content_type is None or content_type[: len(GRPC)].lower() != GRPC:
        return False
    rest = content_type[len(GRPC) :].partition(b";")[0].strip(b" \t")
    return not rest or rest.startswith(b"+")


def parse_timeout(value: bytes) -> float:
    """A grpc-timeout in seconds.

    Raises:
        ValueError: it is not one to eight digits and a unit.
    """
    found = _timeout(value)
    if found is None:
        raise ValueError(f"{value[:32]!r} is not a grpc-timeout")
    return int(found[1]) * _UNITS_NS[found[2]] / 10**9


def format_timeout(seconds: float) -> bytes:
    """A grpc-timeout: rounded down, in the smallest unit that eight digits are enough for."""
    whole = max(int(seconds), 0)
    # In two parts: a double has too few digits for years of nanoseconds.
    left_ns = whole * 10**9 + round(max(seconds - whole, 0) * 1e9)
    for unit, size_ns in _UNITS_NS.items():
        count = left_ns // size_ns
        if count <= _LONGEST_TIMEOUT:
            return b"%d%b" % (count, unit)
    return b"%dH" % _LONGEST_TIMEOUT


def encode_message(text: str) -> bytes:
    """A grpc-message: UTF-8, percent-encoded but for printable ASCII."""
    return _unsafe.sub(lambda found: b"%%%02X" % found[0][0], text.encode("utf-8", "replace"))


def decode_message(value: bytes) -> str:
    """The text of a grpc-message. What was not encoded properly stays as it is, as the protocol demands."""
    return _escape.sub(lambda found: bytes([int(found[1], 16)]), value).decode("utf-8", "replace")


def status_fields(code: int, text: str = "") -> list[Field]:
    """The fields that end a call, in the trailers or, when nothing else is sent, in the head."""
    fields: list[Field] = [(b"grpc-status", b"grpc-status", b"%d" % code)]
    if text:
        fields.append((b"grpc-message", b"grpc-message", encode_message(text)))
    return fields


def frame(message: bytes, flags: int = 0) -> bytes:
    """A message as it is sent, behind its prefix."""
    return _prefix.pack(flags, len(message)) + message


class BadMessage(ValueError):
    """What a prefix says can't be.

    too_large: longer than the limit; else its flags are none. at: index in the data where the message begins, not below 0.
    """

    def __init__(self, text: str, too_large: bool, at: int) -> None:
        super().__init__(text)
        self.too_large = too_large
        self.at = at


class Messages:
    """Reads the prefixes of a stream of messages and nothing else: no payload is copied, and need not even be shown.

    Args:
        limit: bytes of the largest message.
    """

    __slots__ = ("_limit", "_part", "count")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._part = b""
        self.count = 0
        """Messages that began."""

    def look(self, data: bytes, at: int = 0) -> int:
        """Look at what begins at index `at`: a prefix, or the rest of one.

        Returns:
            how many bytes behind the end of `data` are payload; whoever shows more data leaves them out.

        Raises:
            BadMessage: a message longer than the limit, or with flags that are not defined.
        """
        size = len(data)
        while at < size:
            start = at
            if self._part or size - at < PREFIX:
                taken = data[at : at + PREFIX - len(self._part)]
                at += len(taken)
                prefix = self._part + taken
                if len(prefix) < PREFIX:
                    self._part = prefix
                    return 0
                self._part = b""
                flags, length = _prefix.unpack(prefix)
            else:
                flags, length = _prefix.unpack_from(data, at)
                at += PREFIX
            if flags > COMPRESSED:
                raise BadMessage(f"flags {flags:#04x}", False, start)
            if length > self._limit:
                raise BadMessage(f"{length} bytes, more than {self._limit}", True, start)
            self.count += 1
            at += length
        return at - size

    def __repr__(self) -> str:
        return f"<Messages {self.count} of at most {self._limit} bytes>"
