"""WebSocket through the gateway, relay and tunnel: the `websockets` library on both sides, raw sockets where bytes count."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from edgegw.wire.websocket import accept_of
from tests.live.case import LiveCase
from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway, proxy

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = [
    "Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}",
]  # fmt: skip
LARGE = 900_000


def handshake(*more: str, line: str = "GET /echo HTTP/1.1", without: str = "\0") -> bytes:
    """A client's opening. without: the beginning of lines to leave out."""
    return "\r\n".join([line, *(each for each in HANDSHAKE if not each.startswith(without)), *more, "", ""]).encode()


class Echo:
    """The server behind: `/echo` echoes, `/flood` sends 2000 messages of 16 KiB, `/close` ends with 4002, `/die` without a word.

    closes: (code, reason) of each connection that ended. seen: the headers of each. sent: messages of `/flood` so far.
    """

    def __init__(self, **options: Any) -> None:
        self.closes: list[tuple[int, str]] = []
        self.seen: list[Any] = []
        self.sent = 0
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = listening.getsockname()[1]
        options = {"max_size": None, "ping_interval": None, "close_timeout": 3, **options}
        self._server = serve(self._handle, sock=listening, **options)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _handle(self, peer: ServerConnection) -> None:
        assert peer.request is not None
        self.seen.append(peer.request.headers)
        with contextlib.suppress(ConnectionClosed):
            getattr(self, peer.request.path.strip("/"), self.echo)(peer)
        with contextlib.suppress(ConnectionClosed):
            peer.recv(timeout=5)
        self.closes.append((peer.close_code or 0, peer.close_reason or ""))

    def echo(self, peer: ServerConnection) -> None:
        for message in peer:
            peer.send(message)

    def flood(self, peer: ServerConnection) -> None:
        for number in range(2000):
            peer.send(number.to_bytes(4, "big") * 4096)
            self.sent += 1

    def close(self, peer: ServerConnection) -> None:
        peer.close(4002, "enough")

    def die(self, peer: ServerConnection) -> None:
        peer.socket.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(5)


class Case(LiveCase):
    """An echo server, and a gateway before it."""

    # `max_message` of the default is what the large messages stay below.
    def build(self, websocket: str = "{mode: relay}", route: str = "", **options: Any) -> Gateway:
        self.origin = Echo(**options)
        self.addCleanup(self.origin.stop)
        self.served = self.serve(Gateway(proxy(self.origin.port, route=f"websocket: {websocket}, {route}")))
        return self.served

    def client(self, path: str = "/echo", **options: Any) -> ClientConnection:
        options = {"compression": None, "max_size": None, "ping_interval": None, "close_timeout": 5, **options}
        client: Any = connect(f"ws://127.0.0.1:{self.served.port()}{path}", proxy=None, **options)
        self.addCleanup(client.close)
        return client  # type: ignore[no-any-return]

    def closed(self, client: ClientConnection, limit_s: float = 10) -> tuple[int | None, str | None]:
        """How the other side ends the connection."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                client.recv(timeout=limit_s)
        return client.close_code, client.close_reason

    def echoes(self, client: ClientConnection, messages: Sequence[str | bytes]) -> None:
        for message in messages:
            client.send(message)
            self.assertEqual(client.recv(timeout=10), message)


class RelayTests(Case):
    """`mode: relay`."""

    def test_messages(self) -> None:
        self.build()
        client = self.client()
        self.echoes(
            client, ["hello", "", "grüße", b"\x00\xff", b"", "x" * 126, b"y" * 65536, "z" * LARGE, b"\0" * LARGE]
        )
        self.assertNotIn("sec-websocket-extensions", {name.lower() for name in client.response.headers})

    def test_fragments_and_pings(self) -> None:
        self.build()
        client = self.client()
        client.send(iter(["one ", "two ", "three"]))
        self.assertEqual(client.recv(timeout=5), "one two three")
        self.assertTrue(client.ping().wait(5))

    def test_a_message_too_many_bytes_long(self) -> None:
        self.build("{max_message: 64KiB}")
        client = self.client()
        self.echoes(client, ["x" * 65536])
        client.send("x" * 65537)
        self.assertEqual(self.closed(client)[0], 1009)
        wait_until(lambda: self.origin.closes, "the upstream side ends as well")
        self.assertEqual(self.origin.closes[0][0], 1001)

    def test_close_codes_cross(self) -> None:
        self.build()
        client = self.client()
        self.echoes(client, ["hello"])
        client.close(4001, "bye")
        wait_until(lambda: self.origin.closes, "the upstream saw the close")
        self.assertEqual(self.origin.closes, [(4001, "bye")])
        self.assertEqual(self.closed(self.client("/close")), (4002, "enough"))

    def test_an_upstream_that_dies(self) -> None:
        self.build()
        self.assertEqual(self.closed(self.client("/die"))[0], 1011)

    def test_a_client_that_dies(self) -> None:
        self.build()
        client = self.client()
        self.echoes(client, ["hello"])
        client.socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: self.origin.closes, "the upstream side ends as well")
        self.assertEqual(self.origin.closes[0][0], 1001)

    def test_compression_on_each_side(self) -> None:
        self.build("{compress: true}")
        plain, deflating = self.client(), self.client(compression="deflate")
        self.assertNotIn("Sec-WebSocket-Extensions", plain.response.headers)
        self.assertIn("permessage-deflate", deflating.response.headers["Sec-WebSocket-Extensions"])
        for client in (plain, deflating):
            self.echoes(client, ["hello " * 1000, "hello " * 1000, b"\0" * 60_000])
        for seen in self.origin.seen:
            self.assertIn("permessage-deflate", seen["Sec-WebSocket-Extensions"], "offered whatever the client does")

    def test_a_bomb(self) -> None:
        """900 KB of zeros are below `max_message`, and not what a kilobyte may inflate to (trust.md A5)."""
        self.build("{compress: true}")
        client = self.client(compression="deflate")
        client.send(b"\0" * LARGE)
        self.assertEqual(self.closed(client)[0], 1009)

    def test_idle(self) -> None:
        self.build("{idle: 1s, ping: 0s}")
        began = time.monotonic()
        self.assertEqual(self.closed(self.client())[0], 1001)
        self.assertLess(time.monotonic() - began, 5)

    def test_backpressure(self) -> None:
        """32 MiB to a client that does not read: the gateway keeps little of it, the server is slowed, nothing is lost."""
        gateway = self.build()
        with self.peak_growth_below(gateway, 8 * 1024):
            client = self.client("/flood", max_queue=1)
            stood = self._stands()
            self.assertLess(stood, 1500, "the server was not slowed")
            for number in range(2000):
                message = client.recv(timeout=10)
                self.assertEqual(message, number.to_bytes(4, "big") * 4096, number)
        self.assertEqual(self.origin.sent, 2000)

    def test_an_upstream_that_speaks_at_once(self) -> None:
        """The 101 and 200 KB of messages in one piece."""
        message = b"\x82\x7e\x27\x10" + b"m" * 10_000

        def script(call: Call) -> None:
            (key,) = [line[19:] for line in call.head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: ")]
            call.send(b"\r\n".join([
                b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: websocket",
                b"Sec-WebSocket-Accept: " + accept_of(key), b"", b"",
            ]) + message * 20)  # fmt: skip
            call.peer.recv(65536)

        origin = self.scripted(script)
        self.served = self.serve(Gateway(proxy(origin.port)))
        for _ in range(20):
            client = self.client()
            self.assertEqual([client.recv(timeout=10) for _ in range(20)], [b"m" * 10_000] * 20)

    def _stands(self) -> int:
        """How many messages the server could send before it had to wait."""
        last, since = -1, time.monotonic()

        def quiet() -> bool:
            nonlocal last, since
            if self.origin.sent != last:
                last, since = self.origin.sent, time.monotonic()
            return time.monotonic() - since > 0.5 and last > 0

        wait_until(quiet, "the server stands")
        return last

    def test_many_messages(self) -> None:
        """2000 in flight at once, in order."""
        self.build()
        client = self.client()
        texts = [f"{number} " + "x" * (number % 300) for number in range(2000)]
        sender = threading.Thread(target=lambda: [client.send(text) for text in texts])
        sender.start()
        self.assertEqual([client.recv(timeout=10) for _ in texts], texts)
        sender.join(10)


class TunnelTests(Case):
    """`mode: tunnel`."""

    def test_bytes_pass(self) -> None:
        self.build("{mode: tunnel}")
        client = self.client(compression="deflate")
        self.assertIn(
            "permessage-deflate", client.response.headers["Sec-WebSocket-Extensions"], "the upstream's answer"
        )
        self.echoes(client, ["hello " * 1000, b"\x00\xff", "z" * 3_000_000])
        client.close(4001, "bye")
        wait_until(lambda: self.origin.closes, "the upstream saw the close")
        self.assertEqual(self.origin.closes, [(4001, "bye")])
        self.assertEqual(self.closed(self.client("/close")), (4002, "enough"))

    def test_either_side_may_die(self) -> None:
        self.build("{mode: tunnel}")
        self.assertEqual(self.closed(self.client("/die"))[0], 1006)
        client = self.client()
        self.echoes(client, ["hello"])
        client.socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: self.origin.closes, "the upstream side ends as well")

    def test_backpressure(self) -> None:
        gateway = self.build("{mode: tunnel}")
        with self.peak_growth_below(gateway, 8 * 1024):
            client = self.client("/flood", max_queue=1)
            wait_until(lambda: self.origin.sent > 10, "it flows")
            for number in range(2000):
                self.assertEqual(client.recv(timeout=10)[:4], number.to_bytes(4, "big"))


class HandshakeTests(Case):
    """What is agreed, and what is refused."""

    def test_headers_and_subprotocol(self) -> None:
        self.build(subprotocols=["v2"])
        client = self.client(subprotocols=["v1", "v2"], additional_headers={"Cookie": "a=b", "X-Mine": "1"})
        self.assertEqual(client.subprotocol, "v2")
        (seen,) = self.origin.seen
        self.assertEqual((seen["Cookie"], seen["X-Mine"], seen["X-Forwarded-For"]), ("a=b", "1", "127.0.0.1"))
        self.assertEqual(seen["Host"], f"127.0.0.1:{self.served.port()}")
        self.assertEqual(len(seen.get_all("Sec-WebSocket-Key")), 1)
        self.assertNotEqual(seen["Sec-WebSocket-Key"], client.request.headers["Sec-WebSocket-Key"])

    def test_subprotocols_of_the_route(self) -> None:
        self.build("{subprotocols: [v2]}", subprotocols=["v1", "v2"])
        self.assertEqual(self.client(subprotocols=["v1", "v2"]).subprotocol, "v2")

    def test_origin(self) -> None:
        route = 'headers: {request: {set: {Origin: "https://inside"}}}'
        self.build('{origins: ["https://app.example.com"]}', route)
        self.echoes(self.client(origin="https://app.example.com"), ["hello"])
        self.assertEqual(self.origin.seen[0]["Origin"], "https://inside")
        for origin in ("https://evil.example", None):
            with self.assertRaises(InvalidStatus) as refused:
                self.client(origin=origin)
            self.assertEqual(refused.exception.response.status_code, 403)
        self.assertEqual(len(self.origin.seen), 1)

    def test_off(self) -> None:
        gateway = self.build("off")
        with self.assertRaises(InvalidStatus) as refused:
            self.client()
        self.assertEqual(refused.exception.response.status_code, 501)
        self.assertEqual(gateway.await_records(1)[0]["flag"], "websocket_off")

    def test_books(self) -> None:
        gateway = self.build(route="timeout: {total: 1s}")
        client = self.client()
        self.echoes(client, ["hello"])
        in_flight = lambda: gateway.metric("edgegw_requests_in_flight", route="all")  # noqa: E731
        wait_until(lambda: in_flight() == 1, "one in flight")
        # `total` was for the handshake.
        wait_until(lambda began=time.monotonic(): time.monotonic() - began > 1.5, "more than `total` goes by")
        self.echoes(client, ["still here"])
        self.assertEqual(gateway.access_records(), [])
        client.close()
        (record,) = gateway.await_records(1)
        self.assertEqual((record["status"], record["complete"]), (101, True))
        wait_until(lambda: in_flight() == 0, "none in flight")
        self.assertEqual(gateway.metric("edgegw_requests_total", route="all", code="101"), 1)

    def test_reload_cuts_nothing(self) -> None:
        gateway = self.build()
        client = self.client()
        self.echoes(client, ["before"])
        gateway.write(proxy(self.origin.port, route="websocket: off"))
        gateway.signal(signal.SIGHUP)
        wait_until(lambda: gateway.metric("edgegw_config_reloads_total", outcome="ok") >= 1, "reloaded")
        self.echoes(client, ["after"])
        self.assertRaises(InvalidStatus, self.client)

    def test_drain(self) -> None:
        for mode, code in (("relay", 1001), ("tunnel", 1006)):
            gateway = self.build(f"{{mode: {mode}}}")
            client = self.client()
            self.echoes(client, ["hello"])
            began = time.monotonic()
            gateway.signal(signal.SIGTERM)
            self.assertEqual(self.closed(client)[0], code, mode)
            self.assertEqual(gateway.wait_exit(15), 0)
            if mode == "relay":
                self.assertLess(time.monotonic() - began, 5, "nobody waits for the end of the grace")
                wait_until(lambda: self.origin.closes, "the upstream was told")
                self.assertEqual(self.origin.closes[0][0], 1001)
            self.assertNotIn("Traceback", gateway.log())
