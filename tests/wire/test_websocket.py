"""Tests of edgegw.wire.websocket: handshakes of both sides, the hostile ones of trust.md A5 among them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Side
from edgegw.wire.events import RequestHead
from edgegw.wire.headers import Headers
from edgegw.wire.http1 import Http1Limits, RequestCodec
from edgegw.wire.websocket import (
    Agreement,
    Opening,
    accept_of,
    agreement_fields,
    extension_names,
    fresh_key,
    opening_fields,
    read_agreement,
    read_opening,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

LINES = [
    "Host: a",
    "Connection: keep-alive, Upgrade",
    "Upgrade: WebSocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY.decode()}",
]


def head(*more: str, without: str = "", line: str = "GET /chat HTTP/1.1") -> RequestHead:
    """A handshake as our own codec reads it. without: the beginning of lines to leave out."""
    lines = [each for each in LINES if not without or not each.startswith(without)]
    data = "\r\n".join([line, *lines, *more, "", ""]).encode("latin-1")
    read = RequestCodec(Http1Limits()).receive(data)[0]
    assert isinstance(read, RequestHead), read
    return read


def http2(*fields: tuple[bytes, bytes], method: str = "GET") -> RequestHead:
    """An extended CONNECT as the HTTP/2 codec gives it."""
    headers = Headers.of([(b"host", b"a"), (b"sec-websocket-version", b"13"), *fields])
    return RequestHead(method, "/", "/", None, b"a", "a", None, "2", headers, None, True, upgrade=(b"websocket",))


class OpeningTests(SynchronousTestCase):
    """What a downstream peer says."""

    def test_the_example_of_the_rfc(self) -> None:
        self.assertEqual(read_opening(head()), Opening(KEY, (), b""))

    def test_everything_there_is(self) -> None:
        opening = read_opening(
            head(
                "Sec-WebSocket-Protocol: chat, superchat",
                "Sec-WebSocket-Protocol: v2.x",
                'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; a="b, c"',
                "Sec-WebSocket-Extensions: x-other",
            )
        )
        self.assertEqual(opening.protocols, (b"chat", b"superchat", b"v2.x"))
        self.assertEqual(opening.extensions, b'permessage-deflate; client_max_window_bits; a="b, c", x-other')

    def test_extended_connect_needs_no_key(self) -> None:
        self.assertEqual(read_opening(http2((b"sec-websocket-protocol", b"chat"))), Opening(None, (b"chat",), b""))

    def test_refused(self) -> None:
        """Each with status, reason and an end of the connection: what follows may be frames or requests."""
        key = "Sec-WebSocket-Key"
        table: list[tuple[str, RequestHead, int, str]] = [
            (
                "version 777",
                head("Sec-WebSocket-Version: 777", without="Sec-WebSocket-V"),
                426,
                "websocket_bad_version",
            ),
            ("version 8", head("Sec-WebSocket-Version: 8", without="Sec-WebSocket-V"), 426, "websocket_bad_version"),
            ("two versions", head("Sec-WebSocket-Version: 8"), 426, "websocket_bad_version"),
            ("no version", head(without="Sec-WebSocket-V"), 426, "websocket_bad_version"),
            ("no key", head(without=key), 400, "websocket_bad_key"),
            ("empty key", head(f"{key}:", without=key), 400, "websocket_bad_key"),
            ("short key", head(f"{key}: c2hvcnQ=", without=key), 400, "websocket_bad_key"),
            ("15 bytes", head(f"{key}: AAAAAAAAAAAAAAAAAAAA", without=key), 400, "websocket_bad_key"),
            ("17 bytes", head(f"{key}: AAAAAAAAAAAAAAAAAAAAAAA=", without=key), 400, "websocket_bad_key"),
            ("32 bytes", head(f"{key}: {'A' * 43}=", without=key), 400, "websocket_bad_key"),
            ("not base64", head(f"{key}: dGhlIHNhbXBsZSBub25j*Q==", without=key), 400, "websocket_bad_key"),
            ("url base64", head(f"{key}: dGhlIHNhbXBsZSBub25j_Q==", without=key), 400, "websocket_bad_key"),
            ("two keys", head(f"{key}: {KEY.decode()}"), 400, "websocket_bad_key"),
            ("POST", head("Content-Length: 0", line="POST /chat HTTP/1.1"), 400, "websocket_bad_request"),
            ("HEAD", head(line="HEAD /chat HTTP/1.1"), 400, "websocket_bad_request"),
            ("a body", head("Content-Length: 5"), 400, "websocket_bad_request"),
            ("a chunked body", head("Transfer-Encoding: chunked"), 400, "websocket_bad_request"),
            ("HTTP/1.0", head(line="GET /chat HTTP/1.0"), 400, "websocket_bad_request"),
            ("no Connection", head(without="Connection"), 400, "websocket_bad_request"),
            ("Connection without upgrade", head("Connection: close", without="Conn"), 400, "websocket_bad_request"),
            ("no Upgrade", head(without="Upgrade"), 400, "websocket_bad_request"),
            ("Upgrade: h2c", head("Upgrade: h2c", without="Upgrade"), 400, "websocket_bad_request"),
            ("a protocol twice", head("Sec-WebSocket-Protocol: a, b, a"), 400, "websocket_bad_request"),
            ("an empty protocol", head("Sec-WebSocket-Protocol: a,,b"), 400, "websocket_bad_request"),
            ("no token", head("Sec-WebSocket-Protocol: a b"), 400, "websocket_bad_request"),
            ("bad extension", head("Sec-WebSocket-Extensions: a;"), 400, "websocket_bad_request"),
            ("open quote", head('Sec-WebSocket-Extensions: a; b="c'), 400, "websocket_bad_request"),
        ]
        for name, each, status, reason in table:
            error = self.assertRaises(GatewayError, read_opening, each)
            self.assertEqual((error.status, error.reason, error.side), (status, reason, Side.DOWNSTREAM), name)
            self.assertTrue(error.close, name)

    def test_another_version_is_told_ours(self) -> None:
        error = self.assertRaises(GatewayError, read_opening, head(without="Sec-WebSocket-V"))
        self.assertEqual(error.headers, ((b"Sec-WebSocket-Version", b"13"),))

    def test_a_stream_of_http2_ends_alone(self) -> None:
        bad = http2((b"sec-websocket-protocol", b"a b"))
        self.assertFalse(self.assertRaises(GatewayError, read_opening, bad).close)
        self.assertRaises(GatewayError, read_opening, http2(method="POST"))


class FieldsTests(SynchronousTestCase):
    """What is sent."""

    def test_accept(self) -> None:
        self.assertEqual(accept_of(KEY), ACCEPT)

    def test_fresh_key(self) -> None:
        asked: list[int] = []

        def entropy(size: int) -> bytes:
            asked.append(size)
            return b"the sample nonce"[:size]

        self.assertEqual(fresh_key(entropy), KEY)
        self.assertEqual(asked, [16])

    def test_opening_is_one_that_we_would_take(self) -> None:
        fields = opening_fields(KEY, (b"chat", b"v2"), b"permessage-deflate")
        lines = [f"{name.decode()}: {value.decode()}" for _, name, value in fields]
        data = "\r\n".join(["GET / HTTP/1.1", "Host: a", *lines, "", ""]).encode()
        read = RequestCodec(Http1Limits()).receive(data)[0]
        assert isinstance(read, RequestHead)
        self.assertEqual(read_opening(read), Opening(KEY, (b"chat", b"v2"), b"permessage-deflate"))

    def test_opening_without_options(self) -> None:
        names = [field[1] for field in opening_fields(KEY, (), b"")]
        self.assertEqual(names, [b"Connection", b"Upgrade", b"Sec-WebSocket-Version", b"Sec-WebSocket-Key"])

    def test_agreement(self) -> None:
        self.assertEqual(
            [(name, value) for _, name, value in agreement_fields(KEY, b"chat", b"x")],
            [
                (b"Upgrade", b"websocket"),
                (b"Sec-WebSocket-Accept", ACCEPT),
                (b"Sec-WebSocket-Protocol", b"chat"),
                (b"Sec-WebSocket-Extensions", b"x"),
            ],
        )

    def test_agreement_over_http2(self) -> None:
        """RFC 8441 5: no Upgrade, no Accept."""
        self.assertEqual(agreement_fields(None, None, b""), [])
        self.assertEqual(len(agreement_fields(None, b"chat", b"")), 1)


class AgreementTests(SynchronousTestCase):
    """What an upstream answers."""

    asked = Opening(KEY, (b"chat", b"v2"), b"permessage-deflate; client_max_window_bits, x-mux")

    def read(self, *more: tuple[bytes, bytes], without: bytes = b"") -> Agreement:
        fields = [(b"Upgrade", b"WebSocket"), (b"Connection", b"upgrade"), (b"Sec-WebSocket-Accept", ACCEPT)]
        return read_agreement(Headers.of([*(each for each in fields if each[0] != without), *more]), self.asked)

    def test_nothing_but_the_switch(self) -> None:
        self.assertEqual(self.read(), Agreement(None, b""))

    def test_options_that_were_offered(self) -> None:
        agreed = self.read(
            (b"Sec-WebSocket-Protocol", b"v2"),
            (b"Sec-WebSocket-Extensions", b"Permessage-Deflate; server_no_context_takeover"),
        )
        self.assertEqual(agreed.protocol, b"v2")
        self.assertEqual(agreed.extensions, b"Permessage-Deflate; server_no_context_takeover")

    def test_refused(self) -> None:
        accept = b"Sec-WebSocket-Accept"
        table: list[tuple[str, bytes, list[tuple[bytes, bytes]]]] = [
            ("no accept", accept, []),
            ("another accept", accept, [(accept, accept_of(b"AAAAAAAAAAAAAAAAAAAAAA=="))]),
            ("lower-case accept", accept, [(accept, ACCEPT.lower())]),
            ("two accepts", b"", [(accept, ACCEPT)]),
            ("the key itself", accept, [(accept, KEY)]),
            ("no upgrade", b"Upgrade", []),
            ("upgrade to h2c", b"Upgrade", [(b"Upgrade", b"h2c")]),
            ("upgrade to two", b"", [(b"Upgrade", b"h2c")]),
            ("no connection", b"Connection", []),
            ("connection close", b"Connection", [(b"Connection", b"close")]),
            ("protocol not offered", b"", [(b"Sec-WebSocket-Protocol", b"v3")]),
            ("protocol in another case", b"", [(b"Sec-WebSocket-Protocol", b"CHAT")]),
            ("two protocols", b"", [(b"Sec-WebSocket-Protocol", b"chat, v2")]),
            ("empty protocol", b"", [(b"Sec-WebSocket-Protocol", b"")]),
            ("extension not offered", b"", [(b"Sec-WebSocket-Extensions", b"x-mux, x-evil")]),
            ("extension malformed", b"", [(b"Sec-WebSocket-Extensions", b"x-mux;;")]),
        ]
        for name, without, more in table:
            error = self.assertRaises(GatewayError, self.read, *more, without=without)
            self.assertEqual(
                (error.status, error.reason, error.side), (502, "websocket_bad_accept", Side.UPSTREAM), name
            )

    def test_nothing_was_offered(self) -> None:
        fields = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Accept", ACCEPT)]
        for option in ((b"Sec-WebSocket-Protocol", b"chat"), (b"Sec-WebSocket-Extensions", b"permessage-deflate")):
            self.assertRaises(GatewayError, read_agreement, Headers.of([*fields, option]), Opening(KEY, (), b""))


class ExtensionTests(SynchronousTestCase):
    """The grammar of RFC 6455 9.1."""

    def test_names(self) -> None:
        table: list[tuple[bytes, tuple[bytes, ...] | None]] = [
            (b"", ()),
            (b"a", (b"a",)),
            (b' A ; b ; c=d ,\te;f="g,h;i"', (b"a", b"e")),
            (b"a,", None),
            (b",a", None),
            (b"a,,b", None),
            (b"a b", None),
            (b"a;b=", None),
            (b"a;=b", None),
            (b'a;b="c', None),
            (b'a;b="c"d', None),
            (b"a;b=c=d", None),
            (b"\xff", None),
        ]
        for value, names in table:
            self.assertEqual(extension_names(value), names, value)

    def test_long_ones_are_linear(self) -> None:
        """Two megabytes of the worst there is, in less than the test's patience."""
        self.assertIsNone(extension_names(b"a;" * 1_000_000))
        self.assertIsNone(extension_names(b"a; " + b" \t" * 1_000_000))
        self.assertEqual(len(extension_names(b"a;b=c," * 100_000 + b"a") or ()), 100_001)
