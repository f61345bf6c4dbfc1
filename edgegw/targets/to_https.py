"""The whole of a listener with `redirect: https`: every request is sent to the same place behind TLS."""

from __future__ import annotations

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.model import Exchange, Response
from edgegw.wire.headers import Headers

_HTTPS_PORT = 443


class ToHttps:
    """Answers 308 (RFC 9110 15.4.9: method and body stay) with the https form of what was asked.

    The place is put together from what the codec validated (host, path, query), never from the text of a header, so nothing that
    came can add a field or another host to the answer.

    Args:
        port: where TLS listens.
    """

    __slots__ = ("_port",)

    def __init__(self, port: int = _HTTPS_PORT) -> None:
        self._port = b"" if port == _HTTPS_PORT else b":%d" % port

    async def __call__(self, exchange: Exchange) -> Response:
        """The redirect.

        Raises:
            GatewayError: why the request could not be read at all; 400 `missing_host` (HTTP/1.0 without Host).
        """
        if exchange.refused is not None:
            raise exchange.refused
        request = exchange.request
        if not request.host:
            raise GatewayError(400, "missing_host", side=Side.DOWNSTREAM, phase=Phase.ROUTE)
        host = f"[{request.host}]" if ":" in request.host else request.host
        # `OPTIONS *` asks about the server as a whole: its absolute form has no path (RFC 9112 3.2.4).
        target = "" if request.path == "*" else request.target
        place = b"https://%b%b%b" % (host.encode("ascii"), self._port, target.encode("ascii"))
        return Response(308, Headers([(b"location", b"Location", place)]))

    def __repr__(self) -> str:
        return f"<ToHttps{self._port.decode()}>"
