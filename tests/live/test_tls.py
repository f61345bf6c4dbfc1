"""TLS with real clients and servers: curl, openssl s_client, nginx."""

import json
import re
import ssl
import subprocess
import tempfile
from pathlib import Path

from tests.certs import Authority, Paths
from tests.live.case import LiveCase
from tests.live.process import wait_until
from tests.live.servers import Gateway, Nginx, PythonOrigin

SHOP, BLOG, WILD = "shop.example.com", "blog.example.com", "a.wild.example.com"
CONFIG = """
edgegw: 1
shutdown: {{lame_duck: 0s, grace: 10s}}
observe: {{listen: "127.0.0.1:@{{observe}}", access_log: "@{{dir}}/access.log"}}
listen:
  - {{port: @{{clear}}, interface: 127.0.0.1, redirect: https}}
  - port: @{{web}}
    interface: 127.0.0.1
    tls:
      cert: {shop.cert}
      key: {shop.key}
      certs: [{{cert: {blog.cert}, key: {blog.key}}}, {{cert: {wild.cert}, key: {wild.key}}}]
      {client}
upstreams: {{origin: {{endpoints: [{endpoint}], {upstream}}}}}
routes: [{{match: /**, to: origin}}]
"""


class TlsCase(LiveCase):
    """An authority, its certificates in a folder, and clients that trust it."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.authority = Authority()
        self.ca = self.authority.write(self.folder)
        self.shop = self.authority.issue(SHOP).write(self.folder, "shop")
        self.blog = self.authority.issue(BLOG).write(self.folder, "blog")
        self.wild = self.authority.issue("*.wild.example.com").write(self.folder, "wild")

    def front(self, *, endpoint: str = "", upstream: str = "", client: str = "") -> Gateway:
        """The gateway before a Python origin, or another endpoint."""
        if not endpoint:
            endpoint = f"http://127.0.0.1:{self.serve(PythonOrigin()).port()}"
        return self.serve(
            Gateway(
                CONFIG.format(
                    shop=self.shop,
                    blog=self.blog,
                    wild=self.wild,
                    client=client,
                    endpoint=f'"{endpoint}"',
                    upstream=upstream,
                )
            )
        )

    def context(self, shown: Paths | None = None) -> ssl.SSLContext:
        """A client that trusts the authority, and shows a certificate if given one."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if shown is not None:
            context.load_cert_chain(shown.cert, shown.key)
        return context

    def s_client(self, gateway: Gateway, *arguments: str) -> str:
        """What `openssl s_client` says about a connection."""
        command = [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{gateway.port()}",
            "-CAfile",
            str(self.ca),
            *arguments,
        ]
        done = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def https(
        self, gateway: Gateway, name: str, *arguments: str, path: str = "/echo"
    ) -> subprocess.CompletedProcess[bytes]:
        """curl -v to a name at the gateway."""
        port = gateway.port()
        to = ["--resolve", f"{name}:{port}:127.0.0.1", "--cacert", str(self.ca)]
        return self.curl("-v", *to, *arguments, f"https://{name}:{port}{path}")


class ServerTests(TlsCase):
    """What clients see of a listener with `tls:`."""

    def test_names_select_certificates(self) -> None:
        """Two names and a wildcard with curl -v: each connection gets its own certificate, and it verifies."""
        gateway = self.front()
        for name, subject in ((SHOP, SHOP), (BLOG, BLOG), (WILD, "*.wild.example.com")):
            done = self.https(gateway, name)
            self.assertIn(f"subject: CN={subject}".encode(), done.stderr.replace(b"CN = ", b"CN="), name)
            self.assertIn(b"SSL certificate verify ok", done.stderr)
            echo = json.loads(done.stdout)
            self.assertIn(["X-Forwarded-Proto", "https"], echo["headers"])
            self.assertIn(f"{name}:{gateway.port()}", dict(echo["headers"]).values())
        record = gateway.await_records(3)[0]
        self.assertEqual((record["tls_sni"], record["scheme"]), (SHOP, "https"))
        self.assertIn(record["tls_version"], ("TLSv1.3", "TLSv1.2"))

    def test_openssl_sees_the_same(self) -> None:
        """openssl s_client: chain verified, no name at all gets the first certificate, ALPN prefers h2."""
        gateway = self.front()
        self.assertIn(f"CN = {BLOG}", self.s_client(gateway, "-servername", BLOG))
        said = self.s_client(gateway, "-noservername", "-alpn", "h2,http/1.1")
        self.assertIn(f"CN = {SHOP}", said)
        self.assertIn("Verify return code: 0 (ok)", said)
        self.assertIn("ALPN protocol: h2", said)
        self.assertIn("ALPN protocol: http/1.1", self.s_client(gateway, "-noservername", "-alpn", "http/1.1"))

    def test_unknown_name_is_refused_quietly(self) -> None:
        """A name nobody has a certificate for: the alert `unrecognized_name`, a metric, and no traceback."""
        gateway = self.front()
        for _ in range(3):
            said = self.s_client(gateway, "-servername", "evil.example.com")
            self.assertIn("unrecognized name", said.lower().replace("_", " "))
        self.assertIn("unrecognized name", self.s_client(gateway, "-servername", "b.a.wild.example.com").lower())
        wait_until(lambda: gateway.metric("edgegw_tls_handshakes_total") >= 4, "four handshakes were counted")
        self.assertEqual(gateway.metric("edgegw_tls_handshakes_total", outcome="ok"), 0)
        self.assertNotIn("Traceback", gateway.log())
        self.assertNotIn("Unhandled", gateway.log())

    def test_old_versions_and_suites_are_refused(self) -> None:
        """TLS 1.1 and static RSA are not spoken, 1.2 and 1.3 are; nobody renegotiates."""
        gateway = self.front()
        for wish in (
            ["-tls1_1"],
            ["-tls1_2", "-cipher", "AES128-SHA"],
            ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
        ):
            said = self.s_client(gateway, "-servername", SHOP, *wish, "-cipher" if wish == ["-tls1_1"] else "-no_ign_eof",
                                 *(["ALL:@SECLEVEL=0"] if wish == ["-tls1_1"] else []))  # fmt: skip
            self.assertRegex(
                said, r"alert (protocol version|handshake failure|number (70|40))|no protocols available", wish
            )
            self.assertIn("Cipher is (NONE)", said)
        for wish in (["-tls1_2"], ["-tls1_3"]):
            self.assertRegex(
                self.s_client(gateway, "-servername", SHOP, *wish), r"New, TLSv1\.[23], Cipher is (TLS_|ECDHE)"
            )
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port()}", "-servername", SHOP, "-tls1_2"]
        done = subprocess.run([*command], input=b"R\n", capture_output=True, timeout=30, check=False)
        self.assertRegex(done.stdout + done.stderr, rb"(?i)no renegotiation|alert|unexpected")
        self.assertNotIn("Traceback", gateway.log())

    def test_garbage_instead_of_a_handshake(self) -> None:
        """Plain HTTP, half a handshake and noise on the TLS port leave no traceback and disturb nobody."""
        gateway = self.front()
        for data in (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01",
            b"\x00" * 500,
            b"\x80\x2e\x01\x03\x01",
        ):
            wire = self.wire(gateway)
            wire.send(data)
            wire.close()
        self.assertEqual(self.https(gateway, SHOP).returncode, 0)
        self.assertNotIn("Traceback", gateway.log())

    def test_misdirected(self) -> None:
        """Host of another certificate than the connection was opened for is 421; its own names are served."""
        gateway = self.front()
        wire = self.wire(gateway, tls=self.context(), name=SHOP)
        self.assertEqual(wire.ask("/echo", host=SHOP).status, 200)
        self.assertEqual(wire.ask("/echo", host=BLOG).status, 421)
        wire = self.wire(gateway, tls=self.context(), name=WILD)
        self.assertEqual(wire.ask("/echo", host="b.wild.example.com").status, 200)
        self.assertEqual(gateway.await_records(3)[1]["flag"], "misdirected_request")

    def test_redirect_listener(self) -> None:
        """Clear text leads to https on the listener's port, with path and query; curl follows."""
        gateway = self.front()
        answer = self.wire(gateway, "clear").ask("/echo?a=b", host=SHOP)
        self.assertIn(answer.status, (301, 302, 307, 308))
        self.assertEqual(answer.header("location"), f"https://{SHOP}:{gateway.port()}/echo?a=b")
        to = [f"{SHOP}:{gateway.port(name)}:127.0.0.1" for name in ("web", "clear")]
        resolve = [part for each in to for part in ("--resolve", each)]
        done = self.curl("-L", "--cacert", str(self.ca), *resolve, f"http://{SHOP}:{gateway.port('clear')}/echo?a=b")
        self.assertEqual(json.loads(done.stdout)["target"], "/echo?a=b", done.stderr)

    def test_hsts_on_tls_only(self) -> None:
        """Strict-Transport-Security has no meaning in clear text (RFC 6797 7.2)."""
        gateway = self.front()
        wire = self.wire(gateway, tls=self.context(), name=SHOP)
        self.assertIn("max-age", wire.ask("/echo", host=SHOP).header("strict-transport-security"))
        self.assertEqual(self.wire(gateway, "clear").ask("/", host=SHOP).header("strict-transport-security"), "")

    def test_certificate_file_swap(self) -> None:
        """A renewed certificate is served soon after its files changed; a connection that stood before lives on."""
        gateway = self.front()
        wire = self.wire(gateway, tls=self.context(), name=SHOP)
        before = wire.socket.getpeercert(binary_form=True)
        self.assertEqual(wire.ask("/echo", host=SHOP).status, 200)
        renewed = self.authority.issue(SHOP)
        # The key first: for a moment the pair does not fit, and that must not hurt.
        for path, content in ((self.shop.key, renewed.key_pem), (self.shop.cert, renewed.chain_pem)):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(content)
            fresh.replace(path)

        def served() -> bytes:
            with_new = self.wire(gateway, tls=self.context(), name=SHOP)
            found: bytes = with_new.socket.getpeercert(binary_form=True)
            with_new.close()
            return found

        wait_until(lambda: served() != before, "the renewed certificate is served")
        self.assertEqual(wire.ask("/echo", host=SHOP).status, 200)
        self.assertEqual(wire.socket.getpeercert(binary_form=True), before)

    def test_broken_certificate_swap(self) -> None:
        """A file that became garbage is reported with its place in the configuration; the old certificate is served on."""
        gateway = self.front()
        self.blog.cert.write_text("no certificate")
        wait_until(
            lambda: gateway.metric("edgegw_config_reloads_total", outcome="rejected") >= 1, "the reload was refused"
        )
        self.assertRegex(gateway.log(), r"edgegw\.yaml:\d+:\d+: error: .*")
        self.assertEqual(self.https(gateway, BLOG).returncode, 0)
        self.assertEqual(gateway.metric("edgegw_config_last_reload_successful"), 0)

    def test_large_body(self) -> None:
        """20 MB through TLS arrive as they were."""
        gateway = self.front()
        wire = self.wire(gateway, tls=self.context(), name=SHOP)
        answer = wire.ask("/bytes/20000000", host=SHOP)
        direct = self.https(gateway, SHOP, path="/bytes/20000000")
        self.assertEqual((answer.length, answer.body == direct.stdout), (20_000_000, True))


class ClientCertificateTests(TlsCase):
    """`client: {mode: ...}`: who is let in, and what the upstream hears of him."""

    IDENTITY = re.compile(r"^x-client-cert", re.IGNORECASE)

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.authority.issue("alice", client=True).write(self.folder, "alice")
        self.mallory = Authority("somebody else").issue("alice", client=True).write(self.folder, "mallory")

    def identity(self, body: bytes) -> dict[str, str]:
        """The identity fields that reached the origin, each at most once."""
        found = [(name.lower(), value) for name, value in json.loads(body)["headers"] if self.IDENTITY.match(name)]
        self.assertEqual(len(found), len(dict(found)), found)
        return dict(found)

    def test_require(self) -> None:
        """With a good certificate the upstream hears who it is; with none or a stranger's there is no connection."""
        gateway = self.front(client=f"client: {{mode: require, ca: {self.ca}}}")
        forged = ["-H", "X-Client-Cert-Subject: CN=root", "-H", "X-Client-Cert: forged", "-H", "X-Client-Cert-Own: x"]
        shown = ["--cert", str(self.alice.cert), "--key", str(self.alice.key)]
        identity = self.identity(self.https(gateway, SHOP, *shown, *forged).stdout)
        self.assertEqual(identity["x-client-cert-subject"], "CN=alice")
        self.assertIn("x-client-cert-fingerprint", identity)
        self.assertTrue(identity["x-client-cert"].startswith("-----BEGIN"), identity)
        self.assertNotIn("x-client-cert-own", identity)
        for arguments in ([], ["--cert", str(self.mallory.cert), "--key", str(self.mallory.key)]):
            done = self.https(gateway, SHOP, *arguments)
            self.assertNotEqual(done.returncode, 0, arguments)
            self.assertEqual(done.stdout, b"")
        wait_until(lambda: gateway.metric("edgegw_tls_handshakes_total") >= 3, "all handshakes were counted")
        self.assertEqual(gateway.metric("edgegw_tls_handshakes_total", outcome="ok"), 1)
        self.assertNotIn("Traceback", gateway.log())

    def test_request(self) -> None:
        """Without a certificate the request is served and nobody's identity is forwarded, whatever the client says."""
        gateway = self.front(client=f"client: {{mode: request, ca: {self.ca}}}")
        forged = ["-H", "X-Client-Cert-Subject: CN=root", "-H", "X-Client-Cert: forged"]
        self.assertEqual(self.identity(self.https(gateway, SHOP, *forged).stdout), {})
        shown = ["--cert", str(self.alice.cert), "--key", str(self.alice.key)]
        identity = self.identity(self.https(gateway, SHOP, *shown, *forged).stdout)
        self.assertEqual(identity["x-client-cert-subject"], "CN=alice")
        underscore = self.https(gateway, SHOP, *shown, "-H", "X_Client_Cert_Subject: CN=root")
        self.assertIn(b"HTTP/2 400", underscore.stderr)
        self.assertNotEqual(
            self.https(gateway, SHOP, "--cert", str(self.mallory.cert), "--key", str(self.mallory.key)).returncode, 0
        )


class UpstreamTlsTests(TlsCase):
    """https endpoints: nginx with a certificate of a private authority."""

    NGINX = """
        server {{
            listen 127.0.0.1:@{{web}} ssl;
            ssl_certificate {inner.cert};
            ssl_certificate_key {inner.key};
            ssl_verify_client optional_no_ca;
            ssl_client_certificate {ca};
            location / {{ return 200 "$ssl_client_s_dn|$ssl_server_name|$host"; }}
        }}
    """

    def setUp(self) -> None:
        super().setUp()
        self.inner = self.authority.issue("inner.internal").write(self.folder, "inner")
        self.nginx = self.serve(Nginx(self.NGINX.format(inner=self.inner, ca=self.ca)))
        self.endpoint = f"https://127.0.0.1:{self.nginx.port()}"

    def test_verified(self) -> None:
        """The private authority and the expected name: 200; the name is sent as SNI; our certificate is shown."""
        mine = self.authority.issue("gateway", client=True).write(self.folder, "mine")
        tls = f"tls: {{server_name: inner.internal, ca: {self.ca}, cert: {mine.cert}, key: {mine.key}}}"
        gateway = self.front(endpoint=self.endpoint, upstream=tls)
        done = self.https(gateway, SHOP)
        self.assertEqual(done.stdout, f"CN=gateway|inner.internal|{SHOP}".encode(), done.stderr)
        wire = self.wire(gateway, tls=self.context(), name=SHOP)
        self.assertEqual([wire.ask("/", host=SHOP).status for _ in range(20)], [200] * 20)
        self.assertLessEqual(
            gateway.metric("edgegw_upstream_connections"), 2, "connections are kept, handshakes are dear"
        )

    def test_wrong_name_and_unknown_authority(self) -> None:
        """502 `upstream_tls`, and the upstream sees no request."""
        for tls in (
            f"tls: {{server_name: other.internal, ca: {self.ca}}}",
            "tls: {server_name: inner.internal}",
            f"tls: {{ca: {self.ca}}}",
        ):
            gateway = self.front(endpoint=self.endpoint, upstream=tls)
            done = self.https(gateway, SHOP)
            self.assertIn(b"HTTP/2 502", done.stderr, f"{tls} {done.stderr!r} {done.stdout!r}")
            self.assertEqual(json.loads(done.stdout)["reason"], "upstream_tls")
            self.assertEqual(gateway.await_records(1)[0]["flag"], "upstream_tls")
            self.assertNotIn("Traceback", gateway.log())

    def test_unverified_when_told_so(self) -> None:
        """`verify: false` is possible, and has to be said."""
        gateway = self.front(endpoint=self.endpoint, upstream="tls: {verify: false, server_name: other.internal}")
        self.assertIn(b"other.internal", self.https(gateway, SHOP).stdout)
