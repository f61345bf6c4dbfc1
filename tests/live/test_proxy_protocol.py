"""PROXY protocol with real proxies: HAProxy introduces its clients to us, and we introduce ours to nginx and HAProxy."""

import http.client
import json
import socket
import ssl
import tempfile
from pathlib import Path
from typing import Any

from tests.certs import Authority
from tests.live.case import LiveCase
from tests.live.process import wait_until
from tests.live.servers import Gateway, HAProxy, Nginx, PythonOrigin, proxy

SHOP = "shop.example.com"
TRUSTING = "proxy_protocol: {trusted: [127.0.0.1, '::1']}"
"""HAProxy comes from 127.0.0.1; its clients, and strangers, from elsewhere in 127.0.0.0/8."""
CLIENT, STRANGER = "127.0.0.9", "127.0.0.66"
REJECTED = "edgegw_connections_rejected_total"
HAPROXY = """
global
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend f
    bind {bind}
    unique-id-format id-%ci-%cp
    default_backend b
backend b
    server s 127.0.0.1:{port} {options}
"""


class ProxyCase(LiveCase):
    """Clients with addresses of their own."""

    def ask(
        self, port: int, path: str = "/echo", source: str = CLIENT, tls: ssl.SSLContext | None = None
    ) -> tuple[int, bytes, tuple[str, int]]:
        """Status, body, and where the client came from."""
        connection = self.connection(port, source, tls)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(), connection.sock.getsockname()[:2]

    def connection(
        self, port: int, source: str = CLIENT, tls: ssl.SSLContext | None = None
    ) -> http.client.HTTPConnection:
        """A connection from this address, closed at the end of the test."""
        host = "::1" if ":" in source else "127.0.0.1"
        plain = socket.create_connection((host, port), timeout=15, source_address=(source, 0))
        connection = http.client.HTTPConnection(SHOP, port)
        connection.sock = tls.wrap_socket(plain, server_hostname=SHOP) if tls is not None else plain
        self.addCleanup(connection.close)
        return connection

    def raw(self, port: int, data: bytes, source: str = "127.0.0.1") -> bytes:
        """Everything that comes back for these bytes until the other side closes."""
        with socket.create_connection(("127.0.0.1", port), timeout=15, source_address=(source, 0)) as client:
            client.sendall(data)
            got = b""
            try:
                while piece := client.recv(65536):
                    got += piece
            except ConnectionResetError:
                pass
            return got

    def rejected(self, gateway: Gateway, reason: str) -> None:
        """One connection was counted as refused for this."""
        wait_until(lambda: gateway.metric(REJECTED, reason=reason) == 1, f"one {reason}")

    def certificates(self) -> None:
        """An authority, a server certificate, one with its key in one file for HAProxy, and a client's."""
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.authority = Authority()
        self.ca = self.authority.write(self.folder)
        self.shop = self.authority.issue(SHOP).write(self.folder, "shop")
        self.both = self.folder / "both.pem"
        self.both.write_text(Path(self.shop.cert).read_text() + Path(self.shop.key).read_text())
        self.me = self.authority.issue("me", client=True).write(self.folder, "me")

    def context(self, *, certificate: bool = False) -> ssl.SSLContext:
        """A client that trusts the authority."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate:
            context.load_cert_chain(self.me.cert, self.me.key)
        return context


class InTests(ProxyCase):
    """HAProxy before us."""

    def front(self, options: str, *, bind: str = "127.0.0.1:@{front}", **keys: Any) -> tuple[Gateway, HAProxy]:
        """A gateway that trusts HAProxy, and HAProxy before it with these options of its `server` line."""
        listen = ", ".join([TRUSTING, *([keys.pop("listen")] if "listen" in keys else [])])
        gateway = self.serve(Gateway(proxy(self.serve(PythonOrigin()).port(), listen=listen, **keys)))
        return gateway, self.serve(HAProxy(HAPROXY.format(bind=bind, port=gateway.port(), options=options)))

    def introduced(self, options: str, source: str = CLIENT, **keys: Any) -> None:
        """One request through HAProxy: the origin and the log hear of the client, not of HAProxy."""
        tls = keys.pop("tls", None)
        gateway, haproxy = self.front(options, **keys)
        status, body, _ = self.ask(haproxy.port("front"), source=source, tls=tls)
        self.assertEqual(status, 200)
        self.assertIn(["X-Forwarded-For", source], json.loads(body)["headers"])
        record = gateway.await_records(1)[-1]
        self.assertEqual((record["client"], record["peer"]), (source, source))
        for reason in ("missing", "malformed", "too_long", "timeout"):
            self.assertEqual(gateway.metric(REJECTED, reason=f"proxy_header_{reason}"), 0)

    def test_version_1(self) -> None:
        """`send-proxy`."""
        self.introduced("send-proxy")

    def test_version_2(self) -> None:
        """`send-proxy-v2`."""
        self.introduced("send-proxy-v2")

    def test_version_2_with_a_checksum_and_an_id(self) -> None:
        """`crc32c` and `unique-id`."""
        self.introduced("send-proxy-v2 proxy-v2-options crc32c,unique-id")

    def test_version_2_with_everything(self) -> None:
        """HAProxy ends TLS, and tells of it: version, cipher, the client certificate's name, SNI, id, checksum."""
        self.certificates()
        options = (
            "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,cert-key,cert-sig,unique-id,authority,crc32c"
        )
        bind = f"127.0.0.1:@{{front}} ssl crt {self.both} ca-file {self.ca} verify optional"
        self.introduced(options, bind=bind, tls=self.context(certificate=True))

    def test_ipv6(self) -> None:
        """A client of IPv6, introduced over IPv4."""
        for options in ("send-proxy", "send-proxy-v2"):
            with self.subTest(options):
                self.introduced(options, source="::1", bind="[::1]:@{front}\n    bind 127.0.0.1:@{front}")

    def test_tls_behind_the_header(self) -> None:
        """The header comes in clear text, and the client's own TLS after it."""
        self.certificates()
        listen = f"tls: {{cert: {self.shop.cert}, key: {self.shop.key}}}"
        gateway, haproxy = self.front("send-proxy-v2", listen=listen)
        status, body, _ = self.ask(haproxy.port("front"), tls=self.context())
        self.assertEqual(status, 200)
        self.assertIn(["X-Forwarded-For", CLIENT], json.loads(body)["headers"])
        record = gateway.await_records(1)[-1]
        self.assertEqual((record["client"], record["tls_sni"], record["scheme"]), (CLIENT, SHOP, "https"))

    def test_kept_alive_and_many_clients(self) -> None:
        """Each connection has its own client, on every request."""
        gateway, haproxy = self.front("send-proxy-v2")
        clients = {
            f"127.0.1.{number}": self.connection(haproxy.port("front"), f"127.0.1.{number}") for number in range(1, 9)
        }
        for _ in range(3):
            for address, connection in clients.items():
                connection.request("GET", "/echo")
                self.assertIn(["X-Forwarded-For", address], json.loads(connection.getresponse().read())["headers"])
        self.assertEqual(len(gateway.await_records(24)), 24)

    def test_health_checks(self) -> None:
        """HAProxy's own checks (LOCAL) are answered, and those of version 1 as well."""
        for version in ("send-proxy", "send-proxy-v2"):
            with self.subTest(version):
                gateway, haproxy = self.front(
                    f"check check-{version.removesuffix('-v2')} inter 100ms {version}\n    option httpchk GET /echo"
                )
                records = gateway.await_records(3)
                self.assertEqual({record["status"] for record in records}, {200})
                self.assertEqual({record["client"] for record in records}, {"127.0.0.1"})
                self.assertEqual(self.ask(haproxy.port("front"))[0], 200)
                self.assertNotIn("DOWN", haproxy.log())

    def test_per_client_counts_clients(self) -> None:
        """The cap is that of each client, not of HAProxy."""
        gateway, haproxy = self.front("send-proxy", listen="caps: {per_client: 2}")
        port = haproxy.port("front")
        kept = [self.connection(port, source) for source in (CLIENT, CLIENT, "127.0.0.10", "127.0.0.10", "127.0.0.11")]
        for connection in kept:
            connection.request("GET", "/echo")
            self.assertEqual(connection.getresponse().read()[:1], b"{")
        third = self.connection(port, CLIENT)
        third.request("GET", "/echo")
        self.assertRaises((http.client.HTTPException, ConnectionError), third.getresponse)
        self.rejected(gateway, "per_client")

    def test_a_proxy_that_sends_none(self) -> None:
        """HAProxy without `send-proxy` is cut off, and that can be seen."""
        gateway, haproxy = self.front("")
        self.assertEqual(self.raw(haproxy.port("front"), b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"), b"")
        self.rejected(gateway, "proxy_header_missing")
        self.assertNotIn("Traceback", gateway.log())


class TrustTests(ProxyCase):
    """Who is believed, without a proxy."""

    def gateway(self, listen: str = "") -> Gateway:
        listen = f"{TRUSTING}, {listen}" if listen else TRUSTING
        return self.serve(Gateway(proxy(self.serve(PythonOrigin()).port(), listen=listen)))

    def test_a_stranger(self) -> None:
        """Served as himself; with a header he asks a bad question."""
        gateway = self.gateway()
        status, body, _ = self.ask(gateway.port(), source=STRANGER)
        self.assertEqual(status, 200)
        self.assertIn(["X-Forwarded-For", STRANGER], json.loads(body)["headers"])
        for header in (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", bytes.fromhex("0d0a0d0a000d0a515549540a2120000000")):
            got = self.raw(gateway.port(), header + b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", source=STRANGER)
            self.assertTrue(got.startswith(b"HTTP/1.1 400 "), got)
            self.assertEqual(got.count(b"HTTP/1.1 "), 1)
        self.assertEqual({record["client"] for record in gateway.await_records(3)}, {STRANGER})

    def test_garbage_of_the_trusted(self) -> None:
        """Each closes the connection unanswered, under a name of its own."""
        rows = {
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n": "proxy_header_missing",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\n": "proxy_header_malformed",
            b"PROXY UNKNOWN " + b"x" * 200: "proxy_header_too_long",
            bytes.fromhex("0d0a0d0a000d0a515549540a2112000c") + bytes(12): "proxy_not_stream",
            bytes.fromhex("0d0a0d0a000d0a515549540a2111000d") + bytes(13): "proxy_tlv_malformed",
            bytes.fromhex("0d0a0d0a000d0a515549540a21110013") + bytes(12) + bytes.fromhex("03000400000000"): "proxy_checksum_wrong",
        }  # fmt: skip
        gateway = self.gateway()
        for data, reason in rows.items():
            self.assertEqual(self.raw(gateway.port(), data), b"", data)
            self.rejected(gateway, reason)
        self.assertEqual(gateway.access_records(), [])
        self.assertNotIn("Traceback", gateway.log())

    def test_deadline(self) -> None:
        """Half a header is waited for as long as `caps.handshake` says."""
        gateway = self.gateway("caps: {handshake: 1s}")
        self.assertEqual(self.raw(gateway.port(), b"PROXY TCP4 1.2.3.4"), b"")
        self.rejected(gateway, "proxy_header_timeout")

    def test_trust_that_a_reload_takes_away(self) -> None:
        """Whoever was introduced by somebody who is not trusted any more does not stay."""
        gateway = self.gateway()
        connection = self.wire(gateway)
        connection.send(b"PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\n")
        self.assertIn(["X-Forwarded-For", "198.51.100.1"], json.loads(connection.ask("/echo").body)["headers"])
        text = gateway.config_path.read_text()
        gateway.write(text.replace("[127.0.0.1, '::1']", "[10.0.0.0/8]"))
        self.assertTrue(connection.at_end())
        self.assertEqual(self.ask(gateway.port(), source="127.0.0.1")[0], 200)


NGINX = """
server {{
    listen 127.0.0.1:@{{web}} {options} proxy_protocol;
    {more}
    location / {{
        return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $connection";
    }}
}}
"""
ACCEPTING = """
global
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend f
    bind 127.0.0.1:@{web} accept-proxy {options}
    http-request return status 200 content-type text/plain lf-string "{words}"
"""
WORDS = "%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority] %[fc_pp_unique_id]"


class OutTests(ProxyCase):
    """nginx and HAProxy behind us, which take nothing without a header."""

    def gateway(
        self, origin: Nginx | HAProxy, version: str, *, listen: str = "", scheme: str = "http", more: str = ""
    ) -> Gateway:
        text = proxy(origin.port(), listen=listen, upstream=f"proxy_protocol: {version}, {more}")
        return self.serve(Gateway(text.replace("http://127.0.0.1", f"{scheme}://127.0.0.1")))

    def nginx(self, options: str = "", more: str = "") -> Nginx:
        return self.serve(Nginx(NGINX.format(options=options, more=more)))

    def haproxy(self, options: str = "") -> HAProxy:
        return self.serve(HAProxy(ACCEPTING.replace("{options}", options).replace("{words}", WORDS)))

    def check(self, gateway: Gateway, **options: Any) -> list[str]:
        """One request; the words of the answer, of which the first four must be the ends of the downstream connection."""
        status, body, (host, port) = self.ask(gateway.port(), **options)
        words = body.decode().split(" ")
        self.assertEqual((status, words[:4]), (200, [host, str(port), "127.0.0.1", str(gateway.port())]))
        return words

    def test_nginx(self) -> None:
        """Both versions, and each client is himself."""
        nginx = self.nginx()
        for version in ("v1", "v2"):
            gateway = self.gateway(nginx, version)
            for source in (CLIENT, "127.0.0.10", CLIENT):
                with self.subTest(version=version, source=source):
                    self.check(gateway, source=source)

    def test_haproxy(self) -> None:
        """Both versions; the second tells the request's id."""
        haproxy = self.haproxy()
        self.check(self.gateway(haproxy, "v1"))
        gateway = self.gateway(haproxy, "v2")
        words = self.check(gateway)
        self.assertEqual(words[4:], ["", gateway.await_records(1)[-1]["request_id"]])

    def test_the_name_that_was_asked_for(self) -> None:
        """Our own TLS downstream: AUTHORITY is the SNI."""
        self.certificates()
        gateway = self.gateway(self.haproxy(), "v2", listen=f"tls: {{cert: {self.shop.cert}, key: {self.shop.key}}}")
        self.assertEqual(self.check(gateway, tls=self.context())[4], SHOP)

    def test_before_tls(self) -> None:
        """The header in clear text, then TLS with nginx and with HAProxy, HTTP/1.1 by ALPN."""
        self.certificates()
        more = f"ssl_certificate {self.shop.cert}; ssl_certificate_key {self.shop.key};"
        servers = (self.nginx("ssl http2", more), self.haproxy(f"ssl crt {self.both} alpn h2,http/1.1"))
        for origin in servers:
            for version in ("v1", "v2"):
                with self.subTest(origin=type(origin).__name__, version=version):
                    tls = f"tls: {{ca: {self.ca}, server_name: {SHOP}}}"
                    self.check(self.gateway(origin, version, scheme="https", more=tls))

    def test_one_connection_for_each_exchange(self) -> None:
        """Two clients on kept-alive connections in turn: none ever gets the other's, and nothing is left open."""
        gateway = self.gateway(self.nginx(), "v2")
        clients = [self.connection(gateway.port(), f"127.0.2.{number}") for number in (1, 2)]
        seen = set()
        for _ in range(5):
            for client in clients:
                client.request("GET", "/")
                words = client.getresponse().read().decode().split(" ")
                self.assertEqual(words[:2], [client.sock.getsockname()[0], str(client.sock.getsockname()[1])])
                seen.add(words[4])
        self.assertEqual(len(seen), 10)

    def test_all_the_way(self) -> None:
        """HAProxy, we, nginx: the client's address arrives, and where he wanted to go to."""
        for into, out in (("send-proxy", "v2"), ("send-proxy-v2", "v1")):
            with self.subTest(into):
                gateway = self.gateway(self.nginx(), out, listen=TRUSTING)
                options = {"bind": "127.0.0.1:@{front}", "port": gateway.port(), "options": into}
                haproxy = self.serve(HAProxy(HAPROXY.format(**options)))
                status, body, (host, port) = self.ask(haproxy.port("front"))
                words = body.decode().split(" ")[:4]
                self.assertEqual((status, words), (200, [host, str(port), "127.0.0.1", str(haproxy.port("front"))]))

    def test_an_upstream_that_wants_none(self) -> None:
        """nginx without `proxy_protocol` answers 400 to a header, and what it says is passed on."""
        plain = self.serve(Nginx(NGINX.format(options="", more="").replace(" proxy_protocol;", ";")))
        self.assertEqual(self.ask(self.gateway(plain, "v1").port())[0], 400)
