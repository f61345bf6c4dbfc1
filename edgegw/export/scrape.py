"""The read-only site of `observe.listen`: `/metrics`, `/livez`, `/readyz` and nothing else.

For kubelet and Prometheus, on twisted.web. One request per connection, ten seconds for all of it, no bodies, few connections: a
stranger who reaches the port can hold little and for a short time.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from edgegw.export.prometheus import Exposed, Exposition

LIFETIME_S = 10.0
MAX_CONNECTIONS = 64

_log = Logger("edgegw.export.scrape")

Ready = Callable[[], Sequence[str]]
"""Why the gateway should get no traffic now; empty when it should."""


class ScrapeResource(Resource):
    """Answers the three paths, exactly as written, for GET and HEAD."""

    isLeaf = True

    def __init__(self, exposition: Exposition, ready: Ready) -> None:
        Resource.__init__(self)
        self._exposition = exposition
        self._ready = ready
        self._paths: dict[bytes, Callable[[Request], None]] = {
            b"/metrics": self._metrics,
            b"/livez": self._live,
            b"/readyz": self._readiness,
        }

    def render(self, request: Request) -> int:
        """Twisted: answer a request."""
        request.responseHeaders.removeHeader(b"server")
        answer = self._paths.get(request.path)
        if answer is None:
            _respond(request, 404, "text/plain; charset=utf-8", b"not found\n")
        elif request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            _respond(request, 405, "text/plain; charset=utf-8", b"method not allowed\n")
        else:
            answer(request)
        return NOT_DONE_YET

    def _metrics(self, request: Request) -> None:
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)

        def send(exposed: Exposed) -> None:
            if not gone:
                _respond(request, 200, exposed.content_type, exposed.body)

        def fail(failure: Failure) -> None:
            _log.failure("the metrics could not be rendered", failure)
            if not gone:
                _respond(request, 500, "text/plain; charset=utf-8", b"the metrics could not be rendered\n")

        accept = (request.getHeader(b"accept") or b"").decode("latin-1")
        self._exposition.render(accept).addCallback(send).addErrback(fail)

    def _live(self, request: Request) -> None:
        _respond(request, 200, "text/plain; charset=utf-8", b"ok\n")

    def _readiness(self, request: Request) -> None:
        reasons = list(self._ready())
        body = json.dumps({"ready": not reasons, "reasons": reasons}).encode() + b"\n"
        _respond(request, 503 if reasons else 200, "application/json", body)


def _respond(request: Request, status: int, content_type: str, body: bytes) -> None:
    request.setResponseCode(status)
    request.setHeader(b"content-type", content_type.encode("latin-1"))
    request.setHeader(b"content-length", b"%d" % len(body))
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"x-content-type-options", b"nosniff")
    # twisted.web leaves the body of an answer to HEAD away.
    request.write(body)
    request.finish()


class _NoBody(io.BytesIO):
    """Takes request bodies and keeps nothing of them; twisted.web would spool them to disk."""

    def write(self, data: Any, /) -> int:
        return len(data)


class _ScrapeChannel(HTTPChannel):
    """One request, within ten seconds."""

    totalHeadersSize = 8192
    maxHeaders = 50
    timeOut = None

    _deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Twisted: a connection."""
        HTTPChannel.connectionMade(self)
        self.factory.open += 1
        self._deadline = self.factory.reactor.callLater(LIFETIME_S, self.forceAbortClient)

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Twisted: whether another request may follow."""
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone."""
        self.factory.open -= 1
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        HTTPChannel.connectionLost(self, reason)


class ScrapeSite(Site):
    """The site, as a factory for connections.

    Args:
        reactor: for deadlines. ready: asked at each `/readyz`.
    """

    protocol: Any = _ScrapeChannel
    noisy = False

    def __init__(self, exposition: Exposition, ready: Ready, reactor: Any) -> None:
        Site.__init__(self, ScrapeResource(exposition, ready), reactor=reactor)
        self.displayTracebacks = False
        self.timeOut = None
        self.open = 0

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Twisted: a connection was accepted."""
        return Site.buildProtocol(self, addr) if self.open < MAX_CONNECTIONS else None

    def getContentFile(self, length: int | None) -> io.BytesIO:
        """Twisted: where a request body goes."""
        return _NoBody()

    def log(self, request: Any) -> None:
        """Twisted: a request has ended. Probes and scrapes would drown everything else."""

    def __repr__(self) -> str:
        return f"<ScrapeSite {self.open} connections>"
