"""gRPC-Web: gRPC for peers that know neither HTTP/2 frames nor trailers, with a text form in base64.

Sources: grpc/grpc doc/PROTOCOL-WEB.md; where it leaves a choice, what Envoy's grpc_web filter sends.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable

from edgegw.wire.grpc import GRPC, PREFIX
from edgegw.wire.headers import Field, Headers

WEB = b"application/grpc-web"
TEXT = b"application/grpc-web-text"
_TRAILERS = b"\x80"
_QUANTUM = 4

_kind = re.compile(rb"application/grpc-web(-text)?(\+[!#$%&'*+\-.^_`|~0-9a-z]+)?").fullmatch


class WebKind:
    """A content type of gRPC-Web. text: it is in base64. suffix: `+proto` and the like, or empty."""

    __slots__ = ("suffix", "text")

    def __init__(self, text: bool, suffix: bytes) -> None:
        self.text = text
        self.suffix = suffix

    @property
    def native(self) -> bytes:
        """The content type of the same call in gRPC."""
        return GRPC + self.suffix

    def __repr__(self) -> str:
        return f"<WebKind{' text' if self.text else ''} {self.suffix.decode('ascii')}>"


def web_kind(content_type: bytes | None) -> WebKind | None:
    """What a content type says; None if it is not gRPC-Web's."""
    if content_type is None or content_type[: len(WEB)].lower() != WEB:
        return None
    found = _kind(content_type.partition(b";")[0].strip(b" \t").lower())
    return WebKind(found[1] is not None, found[2] or b"") if found is not None else None


def answer_type(content_type: bytes | None, text: bool) -> bytes:
    """The content type of an answer whose own is gRPC's; the suffix is its, or else `+proto`, as Envoy says."""
    suffix = (content_type or b"").partition(b";")[0].strip(b" \t").lower().removeprefix(GRPC)
    return (TEXT if text else WEB) + (suffix if suffix.startswith(b"+") else b"+proto")


def wants_text(kind: WebKind, accept: bytes | None) -> bool:
    """Whether the answer has to be in base64: Accept decides, and the request's own form where it names neither."""
    said = web_kind(accept)
    return said.text if said is not None else kind.text


def asks_for_web(headers: Headers) -> bool:
    """Whether a CORS preflight (Fetch 3.2.2) is about a gRPC-Web call: every client of it sends X-Grpc-Web."""
    if headers.get(b"access-control-request-method") != b"POST":
        return False
    names = headers.joined(b"access-control-request-headers") or b""
    return b"x-grpc-web" in (name.strip(b" \t").lower() for name in names.split(b","))


def trailer_frame(trailers: Iterable[Field]) -> bytes:
    """Trailers as the last frame of a body, written as Envoy writes them: no blank behind the colon."""
    block = b"".join(b"%b:%b\r\n" % (lower, value) for lower, _, value in trailers)
    return _TRAILERS + len(block).to_bytes(4, "big") + block


class BadText(ValueError):
    """A text form that is not base64."""


class TextDecoder:
    """Base64 to bytes, piece by piece. Padding may end any quantum: senders encode piece by piece, too."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def decode(self, data: bytes) -> bytes:
        """The bytes that are complete.

        Raises:
            BadText: a character that is not of the alphabet, or padding at the wrong place.
        """
        data = self._rest + data
        whole = len(data) // _QUANTUM * _QUANTUM
        self._rest = data[whole:]
        decoded = []
        at = 0
        while at < whole:
            padding = data.find(b"=", at, whole)
            end = whole if padding < 0 else (padding // _QUANTUM + 1) * _QUANTUM
            try:
                decoded.append(binascii.a2b_base64(data[at:end], strict_mode=True))
            except binascii.Error as error:
                raise BadText(str(error)) from None
            at = end
        return b"".join(decoded)

    def finish(self) -> None:
        """Nothing follows.

        Raises:
            BadText: a quantum is not complete; padding is not optional.
        """
        if self._rest:
            raise BadText(f"{len(self._rest)} characters too many")


class TextEncoder:
    """A stream of messages to base64: what is complete leaves at once, and every message ends with its own padding.

    So a reader has each message whole as soon as it was sent; inside a message at most two bytes wait for the next piece.
    """

    __slots__ = ("_left", "_prefix", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._prefix = b""
        self._left = 0

    def encode(self, data: bytes) -> bytes:
        """The text for these bytes, and for those that waited."""
        encoded = []
        start = at = 0
        size = len(data)
        while at < size:
            at = self._step(data, at)
            if not self._left and not self._prefix:
                encoded.append(_base64(self._rest + data[start:at]))
                self._rest = b""
                start = at
        rest = self._rest + data[start:]
        whole = len(rest) // 3 * 3
        self._rest = rest[whole:]
        encoded.append(_base64(rest[:whole]))
        return b"".join(encoded)

    def _step(self, data: bytes, at: int) -> int:
        """Past the rest of this payload, or as much of a prefix as there is."""
        if self._left:
            step = min(self._left, len(data) - at)
            self._left -= step
            return at + step
        taken = data[at : at + PREFIX - len(self._prefix)]
        self._prefix += taken
        if len(self._prefix) == PREFIX:
            self._left = int.from_bytes(self._prefix[1:], "big")
            self._prefix = b""
        return at + len(taken)

    def finish(self, last: bytes = b"") -> bytes:
        """What waited, then one more frame; each padded."""
        rest, self._rest = self._rest, b""
        return _base64(rest) + _base64(last)


def _base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)
