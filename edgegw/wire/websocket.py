"""The opening handshake of WebSocket (RFC 6455 4; RFC 8441 5 over HTTP/2): what a downstream peer must say, what an upstream is
asked, and what it must answer. Frames are not read here.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple

from edgegw.errors import GatewayError, Phase, Side
from edgegw.wire.connection import connection_options
from edgegw.wire.events import RequestHead
from edgegw.wire.headers import Field, Headers
from edgegw.wire.http1_fields import Refused

WEBSOCKET = b"websocket"
"""The Upgrade token."""

VERSION = b"13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16

HANDSHAKE_FIELDS = frozenset(
    {
        b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-key", b"sec-websocket-protocol",
        b"sec-websocket-version",
    }
)  # fmt: skip
"""Fields that belong to one side's handshake and are never forwarded as they came."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_is_key = re.compile(rb"[A-Za-z0-9+/]{22}==").fullmatch
_is_token = re.compile(_TOKEN).fullmatch
_PARAMETER = rb"[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb'|"[^"\\\r\n]*"))?'
_one_extension = re.compile(rb"[ \t]*(" + _TOKEN + rb")(?:" + _PARAMETER + rb")*[ \t]*").match


class Opening(NamedTuple):
    """What a downstream peer asked for.

    key: its Sec-WebSocket-Key; None over HTTP/2, which has none. protocols: subprotocols in its order. extensions: the value of
    Sec-WebSocket-Extensions, all lines joined, or empty.
    """

    key: bytes | None
    protocols: tuple[bytes, ...]
    extensions: bytes


class Agreement(NamedTuple):
    """What an upstream agreed to. protocol: the subprotocol, or None. extensions: as in `Opening`."""

    protocol: bytes | None
    extensions: bytes


def read_opening(head: RequestHead) -> Opening:
    """Check a handshake: an HTTP/1.1 upgrade (RFC 6455 4.2.1), or an extended CONNECT as the HTTP/2 codec gives it.

    Raises:
        GatewayError: 400 `websocket_bad_request`, 400 `websocket_bad_key`, 426 `websocket_bad_version`. The connection ends with
            it: what came behind such a head may be frames or requests, and nobody should have to guess.
    """
    try:
        return _read_opening(head)
    except Refused as error:
        raise GatewayError(
            error.status,
            error.reason,
            side=Side.DOWNSTREAM,
            phase=Phase.POLICY,
            detail=error.detail,
            headers=((b"Sec-WebSocket-Version", VERSION),) if error.status == 426 else (),
            close=head.version != "2",
        ) from None


def _read_opening(head: RequestHead) -> Opening:
    headers = head.headers
    if head.method != "GET" or WEBSOCKET not in head.upgrade:
        raise Refused(400, "websocket_bad_request", f"{head.method} does not open a WebSocket")
    over_http2 = head.version == "2"
    if not over_http2 and (head.version != "1.1" or head.length != 0):
        raise Refused(400, "websocket_bad_request", "a handshake is HTTP/1.1 and has no body")
    version = headers.joined(b"sec-websocket-version")
    if version != VERSION:
        raise Refused(426, "websocket_bad_version", f"version {(version or b'none')[:32].decode('latin-1')}")
    key = None
    if not over_http2:
        key = headers.joined(b"sec-websocket-key") or b""
        if not _is_key(key):
            raise Refused(400, "websocket_bad_key", "the key is not 16 bytes in base64")
    protocols = _tokens(headers.joined(b"sec-websocket-protocol"))
    if protocols is None or len(set(protocols)) != len(protocols):
        raise Refused(400, "websocket_bad_request", "Sec-WebSocket-Protocol is not a list of different tokens")
    extensions = headers.joined(b"sec-websocket-extensions") or b""
    if extension_names(extensions) is None:
        raise Refused(400, "websocket_bad_request", "Sec-WebSocket-Extensions is malformed")
    return Opening(key, protocols, extensions)


def accept_of(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers a key (RFC 6455 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def fresh_key(entropy: Callable[[int], bytes]) -> bytes:
    """A key of our own. entropy: so many random bytes, as `os.urandom` gives them."""
    return base64.b64encode(entropy(_KEY_BYTES))


def opening_fields(key: bytes, protocols: tuple[bytes, ...], extensions: bytes) -> list[Field]:
    """What makes a request to an upstream a handshake; Host and all end-to-end fields are the caller's."""
    fields: list[Field] = [
        (b"connection", b"Connection", b"Upgrade"),
        (b"upgrade", b"Upgrade", WEBSOCKET),
        (b"sec-websocket-version", b"Sec-WebSocket-Version", VERSION),
        (b"sec-websocket-key", b"Sec-WebSocket-Key", key),
    ]
    if protocols:
        fields.append((b"sec-websocket-protocol", b"Sec-WebSocket-Protocol", b", ".join(protocols)))
    if extensions:
        fields.append((b"sec-websocket-extensions", b"Sec-WebSocket-Extensions", extensions))
    return fields


def read_agreement(headers: Headers, asked: Opening) -> Agreement:
    """Check an upstream's 101 against what it was asked (RFC 6455 4.1).

    Args:
        headers: of the 101, hop-by-hop ones still there. asked: the opening that was sent to it; its key is not None.

    Raises:
        GatewayError: 502 `websocket_bad_accept`: it did not understand the handshake, so what it sends may be anything.
    """
    if (headers.joined(b"upgrade") or b"").lower() != WEBSOCKET:
        raise _bad_answer("Upgrade is not websocket")
    if not connection_options(headers.joined(b"connection") or b"").upgrade:
        raise _bad_answer("Connection does not say upgrade")
    if headers.joined(b"sec-websocket-accept") != accept_of(asked.key or b""):
        raise _bad_answer("Sec-WebSocket-Accept does not answer the key")
    protocol = headers.joined(b"sec-websocket-protocol")
    if protocol is not None and protocol not in asked.protocols:
        raise _bad_answer(f"a subprotocol that was not offered: {protocol[:64].decode('latin-1')}")
    extensions = headers.joined(b"sec-websocket-extensions") or b""
    names, offered = extension_names(extensions), extension_names(asked.extensions) or ()
    if names is None or not set(names).issubset(offered):
        raise _bad_answer(f"an extension that was not offered: {extensions[:64].decode('latin-1')}")
    return Agreement(protocol, extensions)


def agreement_fields(key: bytes | None, protocol: bytes | None, extensions: bytes) -> list[Field]:
    """What makes our 101 the answer to a downstream handshake.

    Args:
        key: the peer's; None over HTTP/2, which has neither key nor Upgrade.
    """
    fields: list[Field] = []
    if key is not None:
        fields.append((b"upgrade", b"Upgrade", WEBSOCKET))
        fields.append((b"sec-websocket-accept", b"Sec-WebSocket-Accept", accept_of(key)))
    if protocol is not None:
        fields.append((b"sec-websocket-protocol", b"Sec-WebSocket-Protocol", protocol))
    if extensions:
        fields.append((b"sec-websocket-extensions", b"Sec-WebSocket-Extensions", extensions))
    return fields


def extension_names(value: bytes) -> tuple[bytes, ...] | None:
    """Lower-case names in a Sec-WebSocket-Extensions value, in order (RFC 6455 9.1).

    Returns:
        an empty tuple for an empty value, None for a malformed one.
    """
    names: list[bytes] = []
    at, size = 0, len(value)
    while at < size:
        found = _one_extension(value, at)
        if found is None:
            return None
        names.append(found[1].lower())
        at = found.end()
        if at < size:
            if value[at : at + 1] != b"," or at + 1 == size:
                return None
            at += 1
    return tuple(names)


def _tokens(value: bytes | None) -> tuple[bytes, ...] | None:
    """A comma-separated list of tokens; None if it is not one."""
    if value is None:
        return ()
    tokens = tuple(part.strip(b" \t") for part in value.split(b","))
    return tokens if all(map(_is_token, tokens)) else None


def _bad_answer(detail: str) -> GatewayError:
    return GatewayError(502, "websocket_bad_accept", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD, detail=detail)
