"""Tests of edgegw.net.tls_upstream: handshakes with right and wrong upstreams, in memory."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from pathlib import Path

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.net.tls import ServerTls, TlsError, UpstreamTls, UpstreamTlsSettings, peer_identity, selected_server_name
from tests.certs import Authority, Leaf
from tests.net.tlspair import AUTHORITY, AnyClient, Pair, certificate, store

ORDERS = AUTHORITY.issue("orders.internal", "*.orders.internal", "192.0.2.7", "2001:db8::7")


def connect(host: str, leaf: Leaf = ORDERS, **options: object) -> Pair:
    """A connection to `host` that `leaf` answers."""
    options.setdefault("authorities", [AUTHORITY.cert])
    tls = UpstreamTls(**options)  # type: ignore[arg-type]
    # A second certificate would make an unknown name possible; here the leaf answers to every name.
    return Pair(_Anybody(store(leaf)), tls.creator(host))


class _Anybody(ServerTls):
    """An upstream that shows its one certificate whatever name is asked for."""

    def __init__(self, shown: object) -> None:
        super().__init__(shown)  # type: ignore[arg-type]
        self.store._exact = self.store._wildcard = _Everything(self.store.default)  # type: ignore[assignment]


class _Everything(dict[str, object]):
    def __init__(self, entry: object) -> None:
        self.entry = entry

    def get(self, key: object, default: object = None) -> object:  # type: ignore[override]
        return self.entry


class VerificationTests(SynchronousTestCase):
    def test_right_ones(self) -> None:
        for host, sni in (
            ("orders.internal", "orders.internal"),
            ("ORDERS.internal.", "orders.internal"),
            ("eu.orders.internal", "eu.orders.internal"),
            ("192.0.2.7", None),
            ("2001:DB8::7", None),
            ("[2001:db8::7]", None),
        ):
            pair = connect(host)
            self.assertTrue(pair.client.shook_hands, (host, pair.client.lost))
            self.assertEqual(selected_server_name(pair.server.transport), sni)
            self.assertEqual(pair.client.transport.negotiatedProtocol, b"http/1.1")  # type: ignore[attr-defined]
            pair.client.transport.write(b"GET")
            pair.pump()
            self.assertEqual(pair.server.received, b"GET")

    def test_wrong_ones_say_why(self) -> None:
        stranger = Authority("a stranger")
        long_ago = Authority("long ago", now=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=100))
        for host, leaf, reason, detail in (
            (
                "users.internal",
                ORDERS,
                "upstream_certificate_wrong_name",
                "the certificate is for orders.internal, *.orders.internal, 192.0.2.7, 2001:db8::7, not for users.internal",
            ),
            ("a.b.orders.internal", ORDERS, "upstream_certificate_wrong_name", "not for a.b.orders.internal"),
            ("192.0.2.8", ORDERS, "upstream_certificate_wrong_name", "not for 192.0.2.8"),
            (
                "orders.internal",
                stranger.issue("orders.internal"),
                "upstream_certificate_untrusted",
                "not in the trusted bundle",
            ),
            ("orders.internal", long_ago.issue("orders.internal"), "upstream_certificate_expired", "has expired"),
            (
                "orders.internal",
                AUTHORITY.issue("orders.internal", client=True),
                "upstream_certificate_wrong_purpose",
                "purpose",
            ),
        ):
            pair = connect(host, leaf, authorities=[AUTHORITY.cert, long_ago.cert])
            self.assertFalse(pair.client.shook_hands)
            error = pair.client.lost
            assert isinstance(error, TlsError), error
            self.assertEqual(error.reason, reason)
            self.assertIn(detail, str(error))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_is_listed_is_trusted_also_if_it_is_no_root(self) -> None:
        pinned = Authority("not listed").issue("orders.internal")
        self.assertTrue(connect("orders.internal", pinned, authorities=[pinned.cert]).client.shook_hands)

    def test_server_name_is_verified_instead_of_the_host(self) -> None:
        pair = connect("10.0.0.1", server_name="orders.internal")
        self.assertTrue(pair.client.shook_hands)
        self.assertEqual(selected_server_name(pair.server.transport), "orders.internal")

    def test_the_system_trusts_no_test_authority(self) -> None:
        error = connect("orders.internal", authorities=None).client.lost
        assert isinstance(error, TlsError)
        self.assertEqual(error.reason, "upstream_certificate_untrusted")

    def test_not_verified_if_told_so(self) -> None:
        self.assertTrue(connect("users.internal", Authority("x").issue("y"), verify=False).client.shook_hands)

    def test_one_context_for_all(self) -> None:
        tls = UpstreamTls(authorities=[AUTHORITY.cert])
        self.assertIs(tls.creator("a.internal"), tls.creator("a.internal"))
        for _ in range(3):
            self.assertTrue(Pair(_Anybody(store(ORDERS)), tls.creator("orders.internal")).client.shook_hands)

    def test_hosts_that_are_none(self) -> None:
        tls = UpstreamTls(authorities=[AUTHORITY.cert])
        for host in ("", "a b", "a/b", "*"):
            self.assertRaises(ValueError, tls.creator, host)

    def test_modern_suites_only(self) -> None:
        self.assertGreaterEqual(
            connect("orders.internal").client_tls.getHandle().get_protocol_version(), SSL.TLS1_2_VERSION
        )
        suites = SSL.Connection(UpstreamTls(authorities=[]).context).get_cipher_list()
        self.assertTrue(all(suite.startswith(("TLS_", "ECDHE-")) and "SHA1" not in suite for suite in suites), suites)
        self.assertFalse([suite for suite in suites if suite.endswith("-SHA")])


class OwnCertificateTests(SynchronousTestCase):
    def pair(self, leaf: Leaf | None) -> Pair:
        own = certificate(leaf) if leaf is not None else None
        tls = UpstreamTls(authorities=[AUTHORITY.cert], certificate=own)
        upstream = _Anybody(store(ORDERS, client_mode="require", authorities=[AUTHORITY.cert]))
        return Pair(upstream, tls.creator("orders.internal"))

    def test_shown(self) -> None:
        identity = peer_identity(self.pair(AUTHORITY.issue("edge-1", client=True)).server.transport)
        assert identity is not None
        self.assertEqual(identity.subject, "CN=edge-1")

    def test_refused_by_the_upstream(self) -> None:
        # In TLS 1.3 our handshake is done before the upstream has looked at our certificate.
        for leaf, reason in (
            (None, "alert_certificate_required"),
            (Authority("a stranger").issue("edge-1", client=True), "alert_unknown_ca"),
        ):
            pair = self.pair(leaf)
            self.assertTrue(pair.client.shook_hands)
            error = pair.client.lost
            assert isinstance(error, TlsError), error
            self.assertEqual(error.reason, reason)


class RefusedTests(SynchronousTestCase):
    def test_unknown_name(self) -> None:
        pair = Pair(ServerTls(store(ORDERS)), UpstreamTls(authorities=[AUTHORITY.cert]).creator("users.internal"))
        assert isinstance(pair.client.lost, TlsError)
        self.assertEqual(pair.client.lost.reason, "alert_unrecognized_name")

    def test_other_protocol(self) -> None:
        pair = Pair(
            ServerTls(store(ORDERS, alpn=(b"h2",))),
            UpstreamTls(authorities=[AUTHORITY.cert]).creator("orders.internal"),
        )
        assert isinstance(pair.client.lost, TlsError)
        self.assertEqual(pair.client.lost.reason, "no_shared_protocol")

    def test_any_client_is_no_upstream(self) -> None:
        self.assertTrue(Pair(ServerTls(store(ORDERS)), AnyClient()).client.shook_hands)


class LoadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        AUTHORITY.issue("edge-1", client=True).write(self.folder, "edge")
        AUTHORITY.write(self.folder)

    def load(self, **settings: object) -> tuple[UpstreamTls | None, list[str]]:
        problems = Problems()
        view = problems.under("upstreams", "orders", "tls")
        loaded = UpstreamTls.load(UpstreamTlsSettings.model_validate(settings), view, self.folder)
        return loaded, [str(problem) for problem in problems]

    def test_good(self) -> None:
        for settings in ({}, {"ca": "ca.pem", "cert": "edge.pem", "key": "edge.key", "server_name": "orders.internal"}):
            loaded, problems = self.load(**settings)
            self.assertIsNotNone(loaded)
            self.assertEqual(problems, [])

    def test_not_verifying_is_warned_about(self) -> None:
        loaded, problems = self.load(verify=False)
        self.assertEqual(repr(loaded), "<UpstreamTls by host, not verified>")
        self.assertRegex(problems[0], r"^upstreams.orders.tls.verify: warning: anybody who can answer")

    def test_every_problem_has_its_place(self) -> None:
        for settings, *expected in (
            ({"ca": "no.pem"}, "upstreams.orders.tls.ca: error: no.pem does not exist"),
            ({"cert": "edge.pem"}, "upstreams.orders.tls.cert: error: a certificate needs its key"),
            ({"key": "edge.key"}, "upstreams.orders.tls.key: error: a key needs its certificate"),
            (
                {"cert": "edge.key", "key": "edge.pem", "server_name": "a b"},
                "upstreams.orders.tls.cert: error: edge.key holds no certificate (it holds: private key)",
                "upstreams.orders.tls.key: error: edge.pem holds no private key (it holds: certificate)",
                'upstreams.orders.tls.server_name: error: "a b" is neither a host name nor an address',
            ),
        ):
            loaded, problems = self.load(**settings)
            self.assertIsNone(loaded)
            self.assertEqual(problems, expected)
