"""Tests of edgegw.net.certificate_store: real handshakes in memory."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.net.tls import CertificateStore, ListenTls, ServerTls, TlsError, peer_identity, selected_server_name
from tests.certs import Authority, Leaf
from tests.net.tlspair import AUTHORITY, SHOP, WILD, AnyClient, Pair, store


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
        for sni in (
            b"unknown.example.com",
            b"a.b.apps.example.com",
            b"apps.example.com",
            b".apps.example.com",
            b"\xff\n",
            b"x" * 255,
        ):
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

    def test_the_client_is_told_whose_certificates_are_believed(self) -> None:
        names = self.pair("request", None).client_tls.getHandle().get_client_ca_list()
        self.assertEqual([name.CN for name in names], ["edgegw test authority"])

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

    def test_the_files_to_watch(self) -> None:
        settings = ListenTls.model_validate(
            {
                "cert": SHOP.chain_pem.decode(),
                "key": "shop.key",
                "certs": [{"cert": "wild.pem", "key": "/wild.key"}],
                "client": {"mode": "request", "ca": "ca.pem"},
            }
        )
        names = ["shop.key", "wild.pem", "/wild.key", "ca.pem"]
        self.assertEqual(settings.paths(self.folder), tuple(self.folder / name for name in names))

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
