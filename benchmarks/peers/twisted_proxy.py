"""The obvious proxy in Twisted, Site before and Agent behind, stock epoll: `twisted_proxy.py PORT ORIGIN_PORT LOG`."""

import json
import sys

from twisted.internet import endpoints, protocol, reactor
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, Response
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

_HOP_BY_HOP = (b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"trailer")


class Relay(protocol.Protocol):
    """Copies one response body into the request that waits for it."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def connectionMade(self) -> None:
        """Let a slow reader pause the origin."""
        self._request.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        """One piece of the body."""
        self._request.write(data)

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        """The body's end."""
        self._request.unregisterProducer()
        self._request.finish()


class Proxy(Resource):
    """Forwards every request to one origin."""

    isLeaf = True

    def __init__(self, agent: Agent, origin: bytes) -> None:
        Resource.__init__(self)
        self._agent = agent
        self._origin = origin

    def render(self, request: Request) -> int:
        """Send it on; the answer follows."""
        headers = request.requestHeaders.copy()
        for name in _HOP_BY_HOP:
            headers.removeHeader(name)
        headers.addRawHeader(b"X-Forwarded-For", request.getClientAddress().host.encode())
        sending = self._agent.request(request.method, self._origin + request.uri, headers)
        sending.addCallbacks(self._answer, self._fail, callbackArgs=(request,), errbackArgs=(request,))
        return NOT_DONE_YET

    def _answer(self, response: Response, request: Request) -> None:
        request.setResponseCode(response.code, response.phrase)
        for name, values in response.headers.getAllRawHeaders():
            if name.lower() not in _HOP_BY_HOP:
                request.responseHeaders.setRawHeaders(name, values)
        if isinstance(response.length, int):
            request.setHeader(b"content-length", b"%d" % response.length)
        response.deliverBody(Relay(request))

    def _fail(self, failure: Failure, request: Request) -> None:
        request.setResponseCode(502)
        request.finish()


def record(timestamp: str, request: Request) -> str:
    """One line of the access log (an IAccessLogFormatter)."""
    fields = {
        "time": timestamp,
        "client": request.getClientAddress().host,
        "method": request.method.decode("ascii"),
        "path": request.uri.decode("ascii"),
        "protocol": request.clientproto.decode("ascii"),
        "status": request.code,
        "bytes_out": request.sentLength,
        "agent": (request.getHeader(b"user-agent") or b"").decode("latin-1"),
    }
    return json.dumps(fields)


def main() -> None:
    """Serve until the process is ended."""
    port, origin_port, log = sys.argv[1:]
    pool = HTTPConnectionPool(reactor, persistent=True)
    pool.maxPersistentPerHost = 256
    resource = Proxy(Agent(reactor, pool=pool), b"http://127.0.0.1:" + origin_port.encode())
    site = Site(resource, logPath=log, logFormatter=record)
    endpoints.TCP4ServerEndpoint(reactor, int(port), backlog=4096, interface="127.0.0.1").listen(site)
    reactor.run()


if __name__ == "__main__":
    main()
