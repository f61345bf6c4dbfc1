"""Bytes behind a WebSocket handshake, through the gateway (trust.md A5): raw sockets on both sides."""

from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway, PythonOrigin, proxy
from tests.live.test_websocket import KEY, Case, handshake


class SmugglingTests(Case):
    """trust.md A5: nothing behind a handshake reaches an upstream before its 101, and nothing behind a refused one is a request."""

    TREASURE = b"GET /treasure HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def tried(self, data: bytes, gateway: Gateway) -> tuple[int, bytes]:
        """Status of the answer, and everything behind its head until the end."""
        wire = self.wire(gateway)
        wire.send(data)
        status, _, _ = wire.head()
        wire.try_send(self.TREASURE)
        return status, wire.rest()

    def test_refused_by_us(self) -> None:
        origin = self.serve(PythonOrigin())
        gateway = self.serve(Gateway(proxy(origin.port())))
        key, version = "Sec-WebSocket-Key", "Sec-WebSocket-Version"
        table = [
            (handshake(f"{version}: 777", without=version), 426),
            (handshake(without=version), 426),
            (handshake(without=key), 400),
            (handshake(f"{key}: c2hvcnQ=", without=key), 400),
            (handshake("Content-Length: 0", line="POST /echo HTTP/1.1"), 400),
            (handshake("Content-Length: 40"), 400),
        ]
        for data, expected in table:
            status, rest = self.tried(data + self.TREASURE, gateway)
            self.assertEqual(status, expected, data)
            self.assertEqual(rest.count(b"HTTP/1.1 "), 0, rest)
        self.assertEqual(origin.raw(), [])

    def test_connect_and_trace(self) -> None:
        """Neither is enabled by a WebSocket route."""
        origin = self.serve(PythonOrigin())
        gateway = self.serve(Gateway(proxy(origin.port())))
        for line in ("CONNECT localhost:80 HTTP/1.1", "TRACE / HTTP/1.1"):
            self.assertEqual(self.tried(handshake(line=line), gateway)[0], 405)
        self.assertEqual(origin.raw(), [])

    def test_ignored_upgrades(self) -> None:
        """h2c above all: an upstream that switched would take everything behind it past every route."""
        origin = self.serve(PythonOrigin())
        gateway = self.serve(Gateway(proxy(origin.port())))
        table = [
            ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
            ["Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"],
            ["Connection: Upgrade", "Upgrade: TLS/1.0"],
        ]
        for fields in table:
            wire = self.wire(gateway)
            wire.send("\r\n".join(["GET /echo HTTP/1.1", "Host: localhost", *fields, "", ""]).encode())
            self.assertEqual(wire.read().status, 200)
        for head in origin.raw():
            self.assertNotIn("upgrade", head.lower())
            self.assertNotIn("http2-settings", head.lower())

    def test_refused_by_the_upstream(self) -> None:
        for said in ("200 OK", "426 Upgrade Required"):
            heads: list[bytes] = []

            def script(call: Call, said: str = said, heads: list[bytes] = heads) -> None:
                heads.append(call.head)
                call.send(f"HTTP/1.1 {said}\r\nContent-Length: 2\r\n\r\nno".encode())

            gateway = self.serve(Gateway(proxy(self.scripted(script).port)))
            status, rest = self.tried(handshake() + self.TREASURE, gateway)
            self.assertEqual((status, rest), (int(said[:3]), b"no"))
            self.assertEqual([head.split(b" ")[1] for head in heads], [b"/echo"])

    def test_bad_answers(self) -> None:
        good = ["Upgrade: websocket", "Connection: Upgrade"]
        table = [
            [*good, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="],
            good,
            ["Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="],
        ]
        for lines in table:

            def script(call: Call, lines: list[str] = lines) -> None:
                head = "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""])
                call.send(head.encode() + b"\x81\x04evil")

            gateway = self.serve(Gateway(proxy(self.scripted(script).port)))
            status, rest = self.tried(handshake() + self.TREASURE, gateway)
            self.assertEqual(status, 502)
            self.assertNotIn(b"evil", rest)
            self.assertIn(b"websocket_bad_accept", rest)

    def test_bytes_before_the_101_wait_for_it(self) -> None:
        """What came behind the head is the relay's: no frame, so the connection ends with 1002, and no upstream saw a byte."""
        gateway = self.build()
        wire = self.wire(gateway)
        wire.send(handshake() + self.TREASURE)
        self.assertEqual(wire.head()[0], 101)
        said = wire.rest()
        self.assertEqual((said[0], said[2:4]), (0x88, (1002).to_bytes(2, "big")), said)
        wait_until(lambda: self.origin.closes, "the upstream side ends as well")
        self.assertEqual(len(self.origin.seen), 1)
