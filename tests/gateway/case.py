"""A whole gateway in this process, on loopback ports of its own, and what asks it."""

import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from edgegw.gateway.loading import read
from edgegw.gateway.service import GatewayService
from edgegw.gateway.starting import compose
from edgegw.observe.metrics import Registry
from tests.live.process import free_port

_ANY = SSL.Context(SSL.TLS_CLIENT_METHOD)
QUIET = "observe: {access_log: off}\nshutdown: {lame_duck: 0s, grace: 2s}\n"


def hello(text: str = "hello") -> str:
    """A route that answers everything with this text."""
    return f'routes: [{{match: "/**", respond: {{status: 200, body: {text}}}}}]\n'


class Client(Protocol):
    """A downstream connection. `asked` fires with (status, body) of the answer that is complete next; `gone` when it ends."""

    def __init__(self) -> None:
        self.received = b""
        self.asked: Deferred[tuple[int, bytes]] | None = None
        self.gone: Deferred[None] = Deferred()
        self.heads: list[bytes] = []

    def ask(self, path: str = "/", method: str = "GET", fields: Mapping[str, str] | None = None) -> Any:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
        self.asked = Deferred()
        self.transport.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        return self.asked

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        head, mark, body = self.received.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0)
        if mark and len(body) >= length and self.asked is not None:
            asked, self.asked, self.received = self.asked, None, body[length:]
            self.heads.append(head)
            asked.callback((int(head.split()[1]), body[:length]))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)
        if self.asked is not None:
            asked, self.asked = self.asked, None
            asked.errback(reason)


@implementer(IOpenSSLClientConnectionCreator)
class _Trusting:
    """Whoever answers will do."""

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        return SSL.Connection(_ANY, None)


class GatewayCase(TestCase):
    """`start` makes a gateway of a configuration; everything is stopped with the test."""

    def setUp(self) -> None:
        # Not below trial's own folder: the path of a UNIX socket may have 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-gw-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = self.folder / "gw.yaml"
        self.port = free_port()
        self.ended: list[bool] = []
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def write(self, text: str, path: Path | None = None) -> Path:
        """The configuration, its first line added; `PORT` and `DIR` stand for the port and the folder."""
        path = path or self.path
        text = text.replace("PORT", str(self.port)).replace("DIR", str(self.folder))
        path.write_text("edgegw: 1\n" + text)
        return path

    def config(self, more: str = "", listen: str = "", quiet: str = QUIET, routes: str = "") -> str:
        listen = listen or "{port: PORT, interface: 127.0.0.1}"
        return f"listen: [{listen}]\n{quiet}{routes or hello()}{more}"

    def compose(self, text: str | None = None) -> GatewayService:
        self.write(self.config() if text is None else text)
        service = compose(self.path, read(self.path), reactor, 1000)
        # The reactor is the test runner's.
        self.patch(service, "_end", lambda: self.ended.append(True))
        return service

    def start(self, text: str | None = None) -> GatewayService:
        service = self.compose(text)
        service.prepare()
        self.addCleanup(lambda: maybeDeferred(service.stopService) if service.running else None)
        service.privilegedStartService()
        service.startService()
        # The watch would see what tests write; those that are about it start it again.
        service._watch.stop()
        return service

    def origin(self, gate: "Deferred[None]", answer: bytes = b"origin") -> int:
        """The port of a server that answers when the gate fires; `self.asked_origin` fires with the first request."""
        asked = self.asked_origin = Deferred[None]()

        class Origin(Protocol):
            def dataReceived(self, data: bytes) -> None:
                if not asked.called:
                    asked.callback(None)
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer)
                gate.addCallback(lambda _: self.transport.write(head + answer))

        port = reactor.listenTCP(0, Factory.forProtocol(Origin), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def proxy(self, port: int) -> str:
        """Routes and upstream that lead there."""
        return f'routes: [{{match: "/**", to: a}}]\nupstreams: {{a: {{endpoints: ["http://127.0.0.1:{port}"]}}}}\n'

    def registry(self, service: GatewayService) -> Registry:
        return service.observation._registry

    async def connect(self, port: int = 0, tls: bool = False, unix: str = "") -> Client:
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port or self.port, timeout=5)
        if unix:
            endpoint = UNIXClientEndpoint(reactor, unix, timeout=5)
        if tls:
            endpoint = wrapClientTLS(_Trusting(), endpoint)
        client: Client = await connectProtocol(endpoint, Client())
        self.addCleanup(self.hang_up, client)
        return client

    def hang_up(self, client: Client) -> Any:
        if client.gone.called:
            return succeed(None)
        client.transport.abortConnection()
        return client.gone

    async def get(self, path: str = "/", port: int = 0, tls: bool = False, unix: str = "") -> tuple[int, bytes]:
        client = await self.connect(port, tls, unix)
        answer: tuple[int, bytes] = await client.ask(path, fields={"Connection": "close"})
        await self.hang_up(client)
        return answer

    def messages(self, verdict: Any) -> list[str]:
        return [problem.message for problem in verdict.problems]
