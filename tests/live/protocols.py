"""Servers of the other protocols: `GrpcServer`, `Nghttpd`, `Http2Nginx`, `WebSocketEcho`; and `Fronted`, a case before them."""

import json
import ssl
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.certs import Authority
from tests.live.case import LiveCase
from tests.live.http2_wire import Http2Wire
from tests.live.process import Server
from tests.live.servers import ROOT, Gateway, Nginx, installed

NAME = "gateway.example.com"


class Module(Server):
    """`python -m MODULE --port PORT`, a server of the tests' own. cert, key: serve TLS."""

    module = ""

    def __init__(self, *, cert: Path | None = None, key: Path | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.tls = ["--cert", str(cert), "--key", str(key)] if cert else []
        self.port("web")

    def command(self) -> list[str]:
        return [sys.executable, "-u", "-m", self.module, "--port", str(self.port()), *self.tls]

    def start(self) -> Self:
        self.env.setdefault("PYTHONPATH", str(ROOT))
        return super().start()


class GrpcServer(Module):
    """`tests.live.grpc_server`."""

    module = "tests.live.grpc_server"


class Http2Origin(Module):
    """`tests.live.http2_origin`."""

    module = "tests.live.http2_origin"

    def facts(self) -> dict[str, Any]:
        """What it saw: `requests` (fields of each), `connections`, `resets`, `pings`."""
        context = None
        if self.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with Http2Wire(self.port(), tls=context) as wire:
            found: dict[str, Any] = json.loads(wire.ask("/_seen").body)
        # This very connection is none of the gateway's.
        self._asked += 1
        return {**found, "connections": found["connections"] - self._asked}

    _asked = 1  # the harness connects once to see whether the port accepts


class WebSocketEcho(Module):
    """`tests.live.websocket_echo`: the `websockets` library, no limit on messages."""

    module = "tests.live.websocket_echo"


class Nghttpd(Server):
    """nghttpd, the server of nghttp2's authors, serving the folder `www`; clear text with prior knowledge, or TLS."""

    def __init__(
        self,
        *flags: str,
        cert: Path | None = None,
        key: Path | None = None,
        files: Mapping[str, bytes | str] | None = None,
    ) -> None:
        super().__init__(files=files)
        self.flags = flags
        self.tls = [str(key), str(cert)] if cert else []
        (self.folder / "www").mkdir(exist_ok=True)
        self.port("web")

    def command(self) -> list[str]:
        plain = [] if self.tls else ["--no-tls"]
        options = [*plain, "-a", "127.0.0.1", "-d", str(self.folder / "www"), *self.flags]
        return [installed("nghttpd"), *options, str(self.port()), *self.tls]


class Http2Nginx(Nginx):
    """nginx that offers HTTP/2 (and HTTP/1.1) by ALPN on `web`, and HTTP/2 with prior knowledge on `clear`."""

    SITE = """
        log_format seen '$server_protocol $request_method $request_uri $status';
        server {{
            access_log @{{dir}}/seen.log seen;
            listen 127.0.0.1:@{{web}} ssl http2;
            listen 127.0.0.1:@{{clear}} http2;
            ssl_certificate {cert};
            ssl_certificate_key {key};
            root @{{dir}}/www;
            client_max_body_size 0;
            location /up/ {{ dav_methods PUT; create_full_put_path on; client_body_temp_path @{{dir}}/up; }}
        }}
    """

    def __init__(self, cert: Path, key: Path, **options: Any) -> None:
        super().__init__(self.SITE.format(cert=cert, key=key), **options)

    def seen(self) -> list[str]:
        """One line a request: protocol, method, target, status."""
        path = self.folder / "seen.log"
        return path.read_text().splitlines() if path.exists() else []


FRONT = """
    edgegw: 1
    shutdown: {{lame_duck: 0s, grace: 10s}}
    observe: {{listen: "127.0.0.1:@{{observe}}", access_log: "@{{dir}}/access.log"}}
    listen:
      - {{port: @{{web}}, interface: 127.0.0.1, {listen}}}
      - {{port: @{{tls}}, interface: 127.0.0.1, tls: {{cert: {cert}, key: {key}}}, {listen}}}
    upstreams: {{{upstreams}}}
    routes:
    {routes}
"""


class Fronted(LiveCase):
    """A gateway on clear text (`web`) and on TLS (`tls`), with the same routes on both; `secure` says which the tests use."""

    secure = False

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)
        authority = Authority()
        self.ca = authority.write(self.scratch)
        self.pair = authority.issue(NAME, "*.example.com", "localhost", "127.0.0.1").write(self.scratch, "gateway")

    def gateway(self, upstreams: dict[str, str], routes: Sequence[str], listen: str = "") -> Gateway:
        """Start it. upstreams: name -> what stands behind it, as YAML; routes: one YAML value each; listen: further keys."""
        text = FRONT.format(
            cert=self.pair.cert,
            key=self.pair.key,
            listen=listen,
            upstreams=", ".join(f"{name}: {value}" for name, value in upstreams.items()),
            routes="\n    ".join(f"  - {route}" for route in routes),
        )
        return self.serve(Gateway(text))

    def before(self, *urls: str, upstream: str = "", route: str = "", listen: str = "") -> Gateway:
        """A gateway that proxies everything to these endpoints."""
        endpoints = ", ".join(f'"{url}"' for url in urls)
        return self.gateway(
            {"origin": f"{{endpoints: [{endpoints}], {upstream}}}"},
            [f"{{name: all, match: /**, to: origin, {route}}}"],
            listen,
        )

    def front(self, gateway: Gateway) -> int:
        """The port that the tests of this class use."""
        return gateway.port("tls" if self.secure else "web")

    def url(self, gateway: Gateway, path: str = "") -> str:
        """Its address on that port."""
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.front(gateway)}{path}"

    def context(self) -> ssl.SSLContext:
        """A client that trusts the authority."""
        return ssl.create_default_context(cafile=str(self.ca))

    def http2(self, gateway: Gateway, **options: Any) -> Http2Wire:
        """A raw HTTP/2 connection to that port, closed at the end of the test."""
        if self.secure:
            options |= {"tls": self.context(), "name": NAME}
        wire = Http2Wire(self.front(gateway), **options)
        self.addCleanup(wire.close)
        return wire
