"""Tells Twisted of the uvloop reactor (`--reactor uvloop`) and of the endpoint strings that start with `uv:`.

`uv:tcp:8080`, `uv:tcp:8080:interface=127.0.0.1:backlog=2048`, `uv:unix:/run/x:mode=660` to listen;
`uv:tcp:host:port:timeout=5:bindAddress=127.0.0.2`, `uv:unix:/run/x` to connect. On a reactor without an asyncio loop they
serve on stock transports. twistd imports this file before the loop is chosen, so nothing here may import the reactor.
"""

from typing import Any

from twisted.application.reactors import Reactor
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer

from edgegw.net.endpoints import CONNECT_TIMEOUT_S, NativeClientEndpoint, NativeServerEndpoint
from edgegw.net.sockets import BACKLOG, Place, TcpPlace, UnixPlace


@implementer(IPlugin, IStreamServerEndpointStringParser, IStreamClientEndpointStringParserWithReactor)
class UvParser:
    """Parses what follows `uv:`. A wrong string raises ValueError, or TypeError for an unknown option."""

    prefix = "uv"

    def parseStreamServer(self, reactor: Any, *args: str, **options: str) -> NativeServerEndpoint:
        return self._server(reactor, *args, **options)

    def parseStreamClient(self, reactor: Any, *args: str, **options: str) -> NativeClientEndpoint:
        return self._client(reactor, *args, **options)

    def _server(self, reactor: Any, kind: str = "", where: str = "", **options: str) -> NativeServerEndpoint:
        backlog = int(options.pop("backlog", BACKLOG))
        place: Place
        if kind == "tcp":
            place = TcpPlace(options.pop("interface", ""), int(where))
        elif kind == "unix" and where:
            place = UnixPlace(where, int(options.pop("mode", "666"), 8))
        else:
            raise ValueError(f"expected uv:tcp:PORT or uv:unix:PATH to listen on, not uv:{kind}:{where}")
        _refuse(options)
        return NativeServerEndpoint(reactor, place, backlog=backlog)

    def _client(
        self, reactor: Any, kind: str = "", where: str = "", port: str = "", **options: str
    ) -> NativeClientEndpoint:
        timeout_s = float(options.pop("timeout", CONNECT_TIMEOUT_S))
        local_host = options.pop("bindAddress", None)
        place: Place
        if kind == "tcp" and where and port:
            place = TcpPlace(where, int(port))
        elif kind == "unix" and where and not port:
            place = UnixPlace(where)
        else:
            raise ValueError(f"expected uv:tcp:HOST:PORT or uv:unix:PATH to connect to, not uv:{kind}:{where}")
        _refuse(options)
        return NativeClientEndpoint(reactor, place, timeout_s=timeout_s, local_host=local_host)


def _refuse(options: dict[str, str]) -> None:
    if options:
        raise TypeError(f"unknown option of a uv: endpoint: {', '.join(sorted(options))}")


uvloop = Reactor("uvloop", "edgegw.net.uvreactor", "Twisted's asyncio reactor over uvloop.")
uv = UvParser()
