"""permessage-deflate, negotiated for each side on its own (RFC 7692), and inflated within bounds.

Our side always compresses with a small window: it saves 240 KiB of the 270 that zlib takes for a large one, and messages are short.
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple, cast

from autobahn.websocket.compress_deflate import PerMessageDeflateOffer, PerMessageDeflateResponse
from autobahn.websocket.protocol import WebSocketProtocol

from edgegw.errors import GatewayError, Phase, Side
from edgegw.net.websocket.settings import WebSocketSettings

NAME = "permessage-deflate"
RATIO = 100
"""A message may inflate to so many times its size."""
FREE = 65536
"""Bytes that any message may inflate to, however small it was."""
WORTHWHILE = 64
"""Bytes below which a message is sent as it is."""

_WINDOW_BITS = 12
_MEM_LEVEL = 5
_LEVEL = 1
_LARGEST_WINDOW_BITS = 15
_TAIL = b"\x00\x00\xff\xff"


class Deflate(NamedTuple):
    """What was agreed. keeps: our messages build on each other; peer_keeps: so do the peer's. bits, peer_bits: window sizes."""

    keeps: bool
    peer_keeps: bool
    bits: int
    peer_bits: int


def accept_deflate(settings: WebSocketSettings, offers: bytes) -> tuple[Deflate, bytes] | None:
    """Choose among a client's offers: what was agreed, and the value of Sec-WebSocket-Extensions that says so.

    Args:
        offers: the value of its Sec-WebSocket-Extensions, all lines joined by commas, or empty.

    Returns:
        None when the route does not compress, or no offer can be met; that is no error (RFC 6455 9.1).
    """
    if not settings.compress:
        return None
    for name, parameters in _extensions(offers):
        if name == NAME and _plain_numbers(parameters):
            try:
                offer = PerMessageDeflateOffer.parse(parameters)
            except Exception:
                # autobahn raises nothing narrower. A malformed offer is declined (RFC 7692 7).
                continue
            return _answer(offer, parameters)
    return None


def offer_deflate(settings: WebSocketSettings) -> bytes | None:
    """What to offer an upstream, or None."""
    return b"permessage-deflate; client_max_window_bits" if settings.compress else None


def agree_deflate(settings: WebSocketSettings, answer: bytes) -> Deflate | None:
    """What an upstream made of our offer; None when it wants no compression.

    Args:
        answer: the value of its Sec-WebSocket-Extensions, or empty.

    Raises:
        GatewayError: 502 `websocket_bad_accept`: what was not offered, or what makes no sense (RFC 7692 7.1).
    """
    extensions = _extensions(answer)
    if not extensions:
        return None
    name, parameters = extensions[0]
    if len(extensions) > 1 or name != NAME or not settings.compress or not _plain_numbers(parameters):
        raise _bad(answer)
    try:
        agreed = PerMessageDeflateResponse.parse(parameters)
    except Exception:
        raise _bad(answer) from None
    return Deflate(
        not agreed.client_no_context_takeover,
        not agreed.server_no_context_takeover,
        min(agreed.client_max_window_bits or _LARGEST_WINDOW_BITS, _WINDOW_BITS),
        agreed.server_max_window_bits or _LARGEST_WINDOW_BITS,
    )


class Codec:
    """Both directions of one side. zlib's state is made when the first compressed message needs it.

    autobahn's own codec takes a block with BFINAL for the end of all messages, and keeps what follows for ever.
    """

    __slots__ = ("_agreed", "_deflator", "_inflator")

    # For autobahn's complaints.
    EXTENSION_NAME = NAME

    def __init__(self, agreed: Deflate) -> None:
        self._agreed = agreed
        self._deflator: Any = None
        self._inflator: Any = None

    def compress(self, payload: bytes) -> bytes:
        """A whole message (RFC 7692 7.2.1)."""
        deflator = self._deflator
        if deflator is None:
            deflator = zlib.compressobj(_LEVEL, zlib.DEFLATED, -self._agreed.bits, _MEM_LEVEL)
        compressed: bytes = deflator.compress(payload) + deflator.flush(zlib.Z_SYNC_FLUSH)
        if self._agreed.keeps:
            self._deflator = deflator
        return compressed[: -len(_TAIL)]

    def start_decompress_message(self) -> None:
        """A compressed message begins. Called by autobahn's parser."""
        if self._inflator is None:
            self._inflator = zlib.decompressobj(-self._agreed.peer_bits)

    def inflate(self, data: bytes, limit: int) -> bytes:
        """A part of a message, inflated; more than `limit` bytes when there would be more, and how many does not matter then.

        Raises:
            zlib.error: it cannot be inflated, and nothing behind it can.
        """
        # At exactly as many as are allowed, zlib may keep the rest for itself.
        inflated: bytes = self._inflator.decompress(data, limit + 1)
        if self._inflator.eof and len(inflated) <= limit:
            # A final block, which is allowed (7.2.3.4). What would refer to something before it fails.
            rest = self._inflator.unused_data
            self._inflator = zlib.decompressobj(-self._agreed.peer_bits)
            inflated += self._inflator.decompress(rest, limit + 1 - len(inflated))
            if self._inflator.unused_data:
                raise zlib.error("a series of final blocks")
        return inflated

    def end(self) -> None:
        """The message is complete.

        Raises:
            zlib.error: it is not.
        """
        if self.inflate(_TAIL, 0):
            raise zlib.error("output behind the end")
        if not self._agreed.peer_keeps:
            self._inflator = None

    def __repr__(self) -> str:
        return f"<Codec {self._agreed}>"


def allowed(limit: int, wire: int) -> int:
    """To how many bytes a message of `wire` compressed ones may inflate, where messages of `limit` are allowed."""
    return min(limit, max(FREE, wire * RATIO))


def _answer(offer: Any, parameters: dict[str, list[Any]]) -> tuple[Deflate, bytes]:
    said = [NAME]
    keeps = not offer.request_no_context_takeover
    if not keeps:
        said.append("server_no_context_takeover")
    # In an offer a hint only (RFC 7692 7.1.1.2), but who gives it can do it.
    peer_keeps = "client_no_context_takeover" not in parameters
    if not peer_keeps:
        said.append("client_no_context_takeover")
    bits = min(offer.request_max_window_bits or _WINDOW_BITS, _WINDOW_BITS)
    if offer.request_max_window_bits:
        said.append(f"server_max_window_bits={bits}")
    peer_bits = _LARGEST_WINDOW_BITS
    if offer.accept_max_window_bits:
        hint = parameters["client_max_window_bits"][0]
        peer_bits = _WINDOW_BITS if hint is True else min(int(hint), _WINDOW_BITS)
        said.append(f"client_max_window_bits={peer_bits}")
    return Deflate(keeps, peer_keeps, bits, peer_bits), "; ".join(said).encode("ascii")


def _extensions(value: bytes) -> list[tuple[str, dict[str, list[Any]]]]:
    parsed: list[tuple[str, dict[str, list[Any]]]] = WebSocketProtocol._parseExtensionsHeader(
        cast(Any, None), value.decode("latin-1")
    )
    return parsed


def _plain_numbers(parameters: dict[str, list[Any]]) -> bool:
    """autobahn's int() would take `+9`, ` 9` and `1_0`; RFC 7692 7.1.2 has no leading zeroes either."""
    for values in parameters.values():
        for value in values:
            if value is not True and not (value.isascii() and value.isdigit() and value[0] != "0"):
                return False
    return True


def _bad(answer: bytes) -> GatewayError:
    detail = f"the answer to our offer of permessage-deflate makes no sense: {answer[:64].decode('latin-1')}"
    return GatewayError(502, "websocket_bad_accept", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD, detail=detail)
