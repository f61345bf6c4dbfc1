"""Tests of edgegw.net.tls: real handshakes, most of them in memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from edgegw.net.certificates import Certificate, load_certificate
from edgegw.config.problems import Problems
from edgegw.net.tls import (
    CertificateStore,
    ListenTls,
    ServerTls,
    TlsError,
    TlsTransport,
    UpstreamTls,
    misdirected,
    peer_identity,
    same_certificate,
    selected_server_name,
    wrap_client,
    wrap_server,
)
from tests.certs import Authority, Leaf
from tests.net.tlspair import AnyClient, Pair, Peer

AUTHORITY = Authority()
SHOP = AUTHORITY.issue("shop.example.com", "www.shop.example.com")
WILD = AUTHORITY.issue("*.apps.example.com", "one.apps.example.com")
ONE = AUTHORITY.issue("one.apps.example.com")
NOBODY = Path("/nonexistent")


def certificate(leaf: Leaf) -> Certificate:
    made = load_certificate(leaf.chain_pem.decode(), leaf.key_pem.decode(), Problems(), NOBODY)
    assert made is not None
    return made


def store(*leaves: Leaf, **options: object) -> CertificateStore:
    return CertificateStore([certificate(leaf) for leaf in leaves or (SHOP, ONE, WILD)], **options)  # type: ignore[arg-type]


class ServerNameTests(SynchronousTestCase):
    def shown(self, sni: bytes | None, max_version: int = 0) -> list[str]:
        pair = Pair(ServerTls(store()), AnyClient(sni=sni, max_version=max_version))
        self.assertTrue(pair.server.shook_hands, pair.server.lost)
        shown = pair.client_tls.getHandle().get_peer_certificate(as_cryptography=True)
        expected = sni.decode().lower().rstrip(".") if sni is not None else None
        self.assertEqual(selected_server_name(pair.server.transport), expected)
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)

    def test_choice(self) -> None:
        for version in (0, SSL.TLS1_2_VERSION):
            for sni, expected in (
                (None, "shop.example.com"),
                (b"shop.example.com", "shop.example.com"),
                (b"WWW.Shop.Example.Com", "shop.example.com"),
                (b"shop.example.com.", "shop.example.com"),
                (b"two.apps.example.com", "*.apps.example.com"),
                (b"one.apps.example.com", "one.apps.example.com"),
                (b"127.0.0.1", "shop.example.com"),
            ):
                self.assertEqual(self.shown(sni, version)[0], expected, sni)

    def test_unknown_names_are_refused_without_a_trace(self) -> None:
        printed: list[object] = []
        self.patch(sys, "excepthook", lambda *args: printed.append(args))
        hook = sys.excepthook
        events: list[dict[str, object]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        tls = ServerTls(store())
        for sni in (b"unknown.example.com", b"a.b.apps.example.com", b"apps.example.com", b".apps.example.com", b"\xff\n", b"x" * 255):
            for version in (0, SSL.TLS1_2_VERSION):
                pair = Pair(tls, AnyClient(sni=sni, max_version=version))
                self.assertFalse(pair.server.shook_hands)
                error = pair.server.lost
                assert isinstance(error, TlsError)
                self.assertEqual(error.reason, "unknown_sni")
                self.assertTrue(str(error).isprintable())
                assert isinstance(pair.client.lost, TlsError)
                self.assertEqual(pair.client.lost.reason, "alert_unrecognized_name")
                self.assertIs(sys.excepthook, hook)
        self.assertEqual(printed, [])
        self.assertEqual([event for event in events if event.get("isError") or "log_failure" in event], [])
        self.assertEqual(self.flushLoggedErrors(), [])
        # The same listener goes on serving.
        self.assertTrue(Pair(tls, AnyClient(sni=b"shop.example.com")).server.shook_hands)

    def test_only_our_error_is_kept_from_the_hook(self) -> None:
        printed: list[type[BaseException]] = []
        self.patch(sys, "excepthook", lambda kind, value, traceback: printed.append(kind))
        broken = store()
        self.patch(broken, "select", lambda name: 1 / 0)
        Pair(ServerTls(broken), AnyClient(sni=b"shop.example.com"))
        self.assertEqual(printed, [ZeroDivisionError])


class ParameterTests(SynchronousTestCase):
    def test_application_protocol(self) -> None:
        for offered, expected in (([], None), ([b"http/1.1"], b"http/1.1"), ([b"h2", b"http/1.1"], b"http/1.1")):
            pair = Pair(ServerTls(store()), AnyClient(sni=b"one.apps.example.com", alpn=offered))
            self.assertEqual(pair.server.transport.negotiatedProtocol, expected)  # type: ignore[attr-defined]
        both = store(alpn=(b"h2", b"http/1.1"))
        pair = Pair(ServerTls(both), AnyClient(alpn=[b"http/1.1", b"h2"]))
        self.assertEqual(pair.client.transport.negotiatedProtocol, b"h2")  # type: ignore[attr-defined]

    def test_no_common_application_protocol(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient(alpn=[b"h2", b"\r\nspdy"]))
        self.assertEqual(str(pair.server.lost), "the client offers only h2, \\0D\\0Aspdy (ALPN)")
        assert isinstance(pair.client.lost, TlsError)
        self.assertEqual(pair.client.lost.reason, "no_shared_protocol")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_modern_suites_only(self) -> None:
        for client in (
            AnyClient(max_version=SSL.TLS1_1_VERSION, ciphers=b"ALL:@SECLEVEL=0"),
            AnyClient(max_version=SSL.TLS1_2_VERSION, ciphers=b"AES128-SHA:@SECLEVEL=0"),
            AnyClient(max_version=SSL.TLS1_2_VERSION, ciphers=b"ECDHE-ECDSA-AES128-SHA"),
        ):
            pair = Pair(ServerTls(store()), client)
            self.assertFalse(pair.server.shook_hands)
            assert isinstance(pair.server.lost, TlsError)
            self.assertIn(pair.server.lost.reason, ("unsupported_version", "no_shared_cipher"))
        pair = Pair(ServerTls(store()), AnyClient(max_version=SSL.TLS1_2_VERSION))
        self.assertRegex(pair.server_tls.getHandle().get_cipher_name(), "^ECDHE-ECDSA-(AES|CHACHA)")

    def test_min_version(self) -> None:
        pair = Pair(ServerTls(store(min_version="1.3")), AnyClient(max_version=SSL.TLS1_2_VERSION))
        assert isinstance(pair.server.lost, TlsError)
        self.assertEqual(pair.server.lost.reason, "unsupported_version")
        self.assertTrue(Pair(ServerTls(store(min_version="1.3")), AnyClient()).server.shook_hands)

    def test_no_resumption(self) -> None:
        tls = ServerTls(store())
        for version in (0, SSL.TLS1_2_VERSION):
            client = AnyClient(max_version=version)
            first = Pair(tls, client)
            first.server.transport.write(b"so that TLS 1.3 tickets would have come")
            first.pump()
            client.session = first.client_tls.getHandle().get_session()
            again = Pair(tls, client)
            self.assertTrue(again.server.shook_hands)
            if version:
                before, after = (pair.client_tls.getHandle().master_key() for pair in (first, again))
                self.assertNotEqual(before, after)

    def test_no_renegotiation(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient(max_version=SSL.TLS1_2_VERSION))
        connection = pair.client_tls.getHandle()
        connection.renegotiate()
        try:
            connection.do_handshake()
        except SSL.Error:
            pass
        pair.client_tls._flushSendBIO()
        pair.pump()
        self.assertEqual(pair.server_tls.getHandle().total_renegotiations() if pair.server.lost is None else 0, 0)

    def test_not_tls_at_all(self) -> None:
        for junk, reason in ((b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "not_tls"), (b"\x00" * 64, "not_tls"), (b"SSH-2.0-x\r\n", "not_tls")):
            peer = Peer()
            from twisted.internet.testing import StringTransport

            protocol = wrap_server(Factory.forProtocol(lambda p=peer: p), ServerTls(store()), reactor).buildProtocol(None)
            wire = StringTransport()
            protocol.makeConnection(wire)
            protocol.dataReceived(junk)
            self.assertTrue(wire.disconnecting)
            protocol.connectionLost(_failure(ConnectionDone()))
            assert isinstance(peer.lost, TlsError)
            self.assertEqual(peer.lost.reason, reason, peer.lost)


class ClientCertificateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.alice = AUTHORITY.issue("alice", "alice.example.com", client=True)

    def pair(self, mode: str, leaf: Leaf | None, version: int = 0) -> Pair:
        tls = ServerTls(store(client_mode=mode, authorities=[AUTHORITY.cert]))
        # The name leads to another entry than the default: the policy must hold after the switch of contexts.
        return Pair(tls, AnyClient(sni=b"one.apps.example.com", cert=leaf, max_version=version))

    def test_off(self) -> None:
        pair = self.pair("off", self.alice)
        self.assertTrue(pair.server.shook_hands)
        self.assertIsNone(peer_identity(pair.server.transport))

    def test_shown_and_verified(self) -> None:
        for mode in ("request", "require"):
            for version in (0, SSL.TLS1_2_VERSION):
                pair = self.pair(mode, self.alice, version)
                identity = peer_identity(pair.server.transport)
                assert identity is not None
                self.assertEqual(identity.subject, "CN=alice")
                self.assertEqual(identity.issuer, "CN=edgegw test authority")
                self.assertEqual(identity.dns_names, ("alice", "alice.example.com"))
                self.assertEqual(len(identity.fingerprint), 64)
                self.assertEqual(int(identity.serial, 16), self.alice.cert.serial_number)
                self.assertTrue(identity.pem.startswith("-----BEGIN%20CERTIFICATE-----%0A"))
                self.assertIs(peer_identity(pair.server.transport), identity)

    def test_none_shown(self) -> None:
        pair = self.pair("request", None)
        self.assertTrue(pair.server.shook_hands)
        self.assertIsNone(peer_identity(pair.server.transport))
        for version in (0, SSL.TLS1_2_VERSION):
            pair = self.pair("require", None, version)
            self.assertFalse(pair.server.shook_hands)
            assert isinstance(pair.server.lost, TlsError)
            self.assertEqual(pair.server.lost.reason, "client_certificate_missing")

    def test_bad_ones(self) -> None:
        for mode in ("request", "require"):
            for leaf, reason in (
                (Authority("a stranger").issue("mallory", client=True), "client_certificate_untrusted"),
                (AUTHORITY.issue("late", client=True, ends_days=-1), "client_certificate_expired"),
                (AUTHORITY.issue("early", client=True, starts_days=1), "client_certificate_not_yet_valid"),
                (AUTHORITY.issue("server.example.com"), "client_certificate_wrong_purpose"),
            ):
                pair = self.pair(mode, leaf)
                self.assertFalse(pair.server.shook_hands)
                assert isinstance(pair.server.lost, TlsError)
                self.assertEqual(pair.server.lost.reason, reason)
                self.assertIsNone(peer_identity(pair.server.transport))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_the_client_learns_why(self) -> None:
        pair = self.pair("require", None)
        pair.pump()
        assert isinstance(pair.client.lost, TlsError)
        self.assertEqual(pair.client.lost.reason, "alert_certificate_required")

    def test_nothing_in_a_name_gets_into_a_header(self) -> None:
        evil = AUTHORITY.issue("a\r\nX-Auth-User: admin\u00e9".encode("ascii", "ignore").decode(), client=True)
        identity = peer_identity(self.pair("require", evil).server.transport)
        assert identity is not None
        self.assertEqual(identity.subject, "CN=a\\0D\\0AX-Auth-User: admin")
        self.assertEqual(identity.dns_names, ("a\\0D\\0AX-Auth-User: admin",))


class LifeTests(SynchronousTestCase):
    def test_writes_are_not_held_back(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient())
        self.assertIs(type(pair.server.transport), TlsTransport)
        pair.server_io.clearBuffer() if hasattr(pair.server_io, "clearBuffer") else None
        pair.server.transport.write(b"x")
        self.assertNotEqual(pair.server_io.stream, [])

    def test_data_both_ways(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient())
        pair.server.transport.write(b"s" * 100_000)
        pair.client.transport.write(b"c" * 100_000)
        pair.pump()
        self.assertEqual((pair.client.received, pair.server.received), (b"s" * 100_000, b"c" * 100_000))

    def test_reload_touches_new_connections_only(self) -> None:
        tls = ServerTls(store(SHOP))
        live = Pair(tls, AnyClient(sni=b"shop.example.com"))
        renewed = AUTHORITY.issue("shop.example.com")
        tls.store = store(renewed)
        fresh = Pair(tls, AnyClient(sni=b"shop.example.com"))
        for pair, leaf in ((live, SHOP), (fresh, renewed)):
            pair.client.transport.write(b"ping")
            pair.pump()
            self.assertEqual(pair.server.received, b"ping")
            shown = pair.client_tls.getHandle().get_peer_certificate(as_cryptography=True)
            self.assertEqual(shown, leaf.cert)
        self.assertFalse(misdirected(live.server.transport, "shop.example.com"))

    def test_reload_in_the_middle_of_a_handshake(self) -> None:
        tls = ServerTls(store())
        before = tls.store.connection()
        tls.store = store(SHOP)
        client = AnyClient(sni=b"one.apps.example.com").clientConnectionForTLS(None)  # type: ignore[arg-type]
        for _ in range(3):
            for mine, theirs in ((client, before), (before, client)):
                try:
                    mine.do_handshake()
                except SSL.WantReadError:
                    pass
                try:
                    theirs.bio_write(mine.bio_read(65536))
                except SSL.WantReadError:
                    pass
        self.assertEqual(client.get_peer_certificate(as_cryptography=True), ONE.cert)

    def test_our_close_does_not_wait_for_theirs(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient())
        pair.server.transport.loseConnection()
        self.assertTrue(pair.server_io.disconnecting)
        pair.pump()
        self.assertIsInstance(pair.client.lost, ConnectionDone)

    def test_close_waits_for_a_producer(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient())
        pair.server.transport.registerProducer(_Producer(), True)  # type: ignore[attr-defined]
        pair.server.transport.loseConnection()
        pair.server.transport.write(b"the rest")
        self.assertFalse(pair.server_io.disconnecting)
        pair.server.transport.unregisterProducer()  # type: ignore[attr-defined]
        self.assertTrue(pair.server_io.disconnecting)
        pair.pump()
        self.assertEqual(pair.client.received, b"the rest")

    def test_abort_before_the_handshake(self) -> None:
        peer = Peer()
        protocol = wrap_server(Factory.forProtocol(lambda: peer), ServerTls(store()), reactor).buildProtocol(None)
        from twisted.internet.testing import StringTransportWithDisconnection

        wire = StringTransportWithDisconnection()
        wire.protocol = protocol
        protocol.makeConnection(wire)
        peer.transport.abortConnection()  # type: ignore[attr-defined]
        self.assertFalse(peer.shook_hands)
        self.assertIsInstance(peer.lost, (ConnectionDone, ConnectionLost, TlsError))


class MisdirectedTests(SynchronousTestCase):
    def test_same_certificate(self) -> None:
        several = store()
        for sni, host, same in (
            ("shop.example.com", "shop.example.com", True),
            ("shop.example.com", "WWW.shop.example.com.", True),
            ("shop.example.com", "one.apps.example.com", False),
            ("one.apps.example.com", "two.apps.example.com", False),
            ("two.apps.example.com", "three.apps.example.com", True),
            ("one.apps.example.com", "nobody.example.com", True),
            (None, "shop.example.com", True),
            (None, "two.apps.example.com", False),
            ("one.apps.example.com", "192.0.2.1", False),
            (None, "[::1]", True),
        ):
            self.assertEqual(same_certificate(several, sni, host), same, (sni, host))

    def test_of_a_connection(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient(sni=b"one.apps.example.com"))
        self.assertFalse(misdirected(pair.server.transport, "one.apps.example.com"))
        self.assertTrue(misdirected(pair.server.transport, "shop.example.com"))
        single = Pair(ServerTls(store(SHOP)), AnyClient())
        self.assertFalse(misdirected(single.server.transport, "anything.example.com"))

    def test_without_tls(self) -> None:
        for transport in (None, object(), pair_transport()):
            self.assertFalse(misdirected(transport, "a"))
            self.assertIsNone(selected_server_name(transport))
            self.assertIsNone(peer_identity(transport))


class LoadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        SHOP.write(self.folder, "shop")
        WILD.write(self.folder, "wild")
        AUTHORITY.write(self.folder)

    def load(self, **settings: object) -> tuple[CertificateStore | None, list[str]]:
        problems = Problems()
        loaded = CertificateStore.load(
            ListenTls.model_validate(settings), problems.under("listen", 0, "tls"), self.folder
        )
        return loaded, [str(problem) for problem in problems]

    def test_good(self) -> None:
        loaded, problems = self.load(
            cert="shop.pem",
            key="shop.key",
            certs=[{"cert": "wild.pem", "key": str(self.folder / "wild.key")}],
            client={"mode": "require", "ca": "ca.pem"},
            min_version="1.3",
        )
        assert loaded is not None
        self.assertEqual(problems, [])
        self.assertEqual(repr(loaded), "<CertificateStore 2 certificates, client certificates: require>")
        self.assertEqual(loaded.default.certificate.label, "shop.pem")

    def test_certs_alone(self) -> None:
        loaded, problems = self.load(certs=[{"cert": "wild.pem", "key": "wild.key"}])
        assert loaded is not None
        self.assertEqual((loaded.default.certificate.label, problems), ("wild.pem", []))

    def test_every_problem_has_its_place(self) -> None:
        pair = {"cert": "shop.pem", "key": "shop.key"}
        for settings, *expected in (
            ({}, "listen[0].tls: error: TLS needs a certificate"),
            ({"cert": "shop.pem"}, "listen[0].tls.cert: error: a certificate needs its key"),
            ({"key": "shop.key"}, "listen[0].tls.key: error: a key needs its certificate"),
            (
                {**pair, "certs": [{"cert": "wild.pem", "key": "shop.key"}]},
                "listen[0].tls.certs[0].key: error: this is not the key of the certificate (the certificate of *.apps.example.com)",
            ),
            (
                {**pair, "client": {"mode": "require"}},
                'listen[0].tls.client.mode: error: "require" needs the authorities that sign client certificates',
            ),
            (
                {"cert": "no.pem", "key": "shop.key", "client": {"mode": "request", "ca": "shop.key"}},
                "listen[0].tls.cert: error: no.pem does not exist",
                "listen[0].tls.client.ca: error: shop.key holds no certificate (it holds: private key)",
            ),
        ):
            loaded, problems = self.load(**settings)
            self.assertIsNone(loaded)
            self.assertEqual(problems, expected)

    def test_a_name_in_two_certificates(self) -> None:
        loaded, problems = self.load(cert="shop.pem", key="shop.key", certs=[{"cert": "shop.pem", "key": "shop.key"}])
        self.assertIsNotNone(loaded)
        self.assertEqual(
            problems[0], "listen[0].tls: warning: shop.example.com is in shop.pem and in shop.pem; the first is used"
        )


class SocketTests(TestCase):
    """Over a real loopback socket, with an OpenSSL of another version on the other side."""

    async def listen(self, made: CertificateStore, echo: Callable[[], Peer] | None = None) -> int:
        self.server = Peer()
        factory = wrap_server(Factory.forProtocol(echo or (lambda: self.server)), ServerTls(made), reactor)
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def test_both_our_sides(self) -> None:
        got: Deferred[bytes] = Deferred()

        class Echo(Peer):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(data)

        class Client(Peer):
            def handshakeCompleted(self) -> None:
                self.transport.write(b"hello")

            def dataReceived(self, data: bytes) -> None:
                got.callback(data)
                self.transport.loseConnection()

        port = await self.listen(store(), Echo)
        tls = UpstreamTls(authorities=[AUTHORITY.cert])
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        await endpoint.connect(wrap_client(Factory.forProtocol(Client), tls, "two.apps.example.com", reactor))
        self.assertEqual(await got.addTimeout(5, reactor), b"hello")

    async def test_openssl_s_client(self) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            self.skipTest("no openssl command")
        port = await self.listen(store())
        for options, expected in (
            (["-servername", "shop.example.com"], "Verification: OK"),
            (["-servername", "nobody.example.com"], "unrecognized name"),
            (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "alert protocol version"),
            (["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], "handshake failure"),
            (["-alpn", "h2"], "no application protocol"),
        ):
            ca = Path(self.mktemp())
            ca.write_bytes(AUTHORITY.cert_pem)
            command = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(ca), *options]
            run = await deferToThread(
                subprocess.run, command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
            )
            said = (run.stdout + run.stderr).decode()
            self.assertIn(expected, said, options)
        self.assertEqual(self.flushLoggedErrors(), [])


def pair_transport() -> object:
    """A TLS transport that is closed."""
    pair = Pair(ServerTls(store()), AnyClient())
    transport = pair.server.transport
    transport.loseConnection()
    pair.pump()
    return transport


class _Producer:
    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


def _failure(error: Exception) -> object:
    from twisted.python.failure import Failure

    return Failure(error)
