"""What a PROXY header tells those who ask it."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.proxy_header import (
    ALPN,
    AUTHORITY,
    CLIENT_CERT_CONN,
    CLIENT_CERT_SESS,
    CLIENT_SSL,
    PROXY_REASONS,
    SSL_CIPHER,
    SSL_CN,
    SSL_VERSION,
    UNIQUE_ID,
    ProxyAddress,
    ProxyHeader,
    ProxySsl,
)
from edgegw.wire.reasons import REASONS

A, B = ProxyAddress("192.0.2.1", 1000), ProxyAddress("192.0.2.2", 443)


class HeaderTests(SynchronousTestCase):
    def test_tlvs_by_name(self) -> None:
        header = ProxyHeader(
            2, False, A, B, {ALPN: b"h2", AUTHORITY: "b\u00fccher.example".encode(), UNIQUE_ID: b"\0id"}
        )
        self.assertEqual((header.alpn, header.authority, header.unique_id), (b"h2", "b\u00fccher.example", b"\0id"))
        silent = ProxyHeader(2, False, A, B)
        self.assertEqual((silent.alpn, silent.authority, silent.unique_id, silent.ssl), (None, None, None, None))

    def test_text(self) -> None:
        six, unix = ProxyAddress("2001:db8::1", 80), ProxyAddress("", 0, b"/run/\xff")
        self.assertEqual(str(ProxyHeader(1, False, A, B)), "v1 192.0.2.1:1000 -> 192.0.2.2:443")
        self.assertEqual(str(ProxyHeader(2, False, six, unix)), "v2 [2001:db8::1]:80 -> unix:/run/\\xff")
        self.assertEqual(str(ProxyHeader(1, False, None, None)), "v1 UNKNOWN")
        self.assertEqual(str(ProxyHeader(2, True, None, None)), "v2 LOCAL")


class SslTests(SynchronousTestCase):
    def test_texts(self) -> None:
        ssl = ProxySsl(
            1,
            1,
            {SSL_VERSION: b"TLSv1.3", SSL_CIPHER: b"X", SSL_CN: "J\u00f6rg \udcff".encode("utf-8", "surrogateescape")},
        )
        self.assertEqual((ssl.version, ssl.cipher, ssl.common_name), ("TLSv1.3", "X", "J\u00f6rg \ufffd"))
        self.assertEqual((ProxySsl(1, 1).version, ProxySsl(1, 1).common_name), ("", ""))

    def test_verified_takes_a_certificate_and_a_good_verdict(self) -> None:
        rows = [
            (CLIENT_SSL, 0, False),
            (CLIENT_SSL, 1, False),
            (CLIENT_SSL | CLIENT_CERT_CONN, 0, True),
            (CLIENT_SSL | CLIENT_CERT_SESS, 0, True),
            (CLIENT_SSL | CLIENT_CERT_CONN, 20, False),
        ]
        for client, verify, expected in rows:
            self.assertIs(ProxySsl(client, verify).verified, expected, (client, verify))


class ReasonTests(SynchronousTestCase):
    def test_rows(self) -> None:
        for name, text in PROXY_REASONS.items():
            self.assertTrue(re.fullmatch(r"proxy_[a-z_]+", name), name)
            self.assertRegex(text, r"\A[A-Z].+\.\Z", name)

    def test_none_is_a_reason_of_the_http_codecs(self) -> None:
        self.assertEqual(set(PROXY_REASONS) & set(REASONS), set())
