"""TLVs of PROXY protocol: what they say, and every way of being none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.proxy_header import AUTHORITY, CRC32C, NOOP, SSL, SSL_CN, SSL_VERSION, UNIQUE_ID, ProxySsl
from edgegw.wire.proxy_tlv import TlvError, read_tlvs, write_ssl, write_tlvs

SSL_TLVS = write_tlvs({SSL_VERSION: b"TLSv1.2"})


def tlv(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value


class ReadTests(SynchronousTestCase):
    def test_values(self) -> None:
        data = b"??" + tlv(AUTHORITY, b"a.example") + tlv(NOOP, bytes(9)) + tlv(NOOP, b"") + tlv(0xEA, b"\x01vpce-1")
        found = read_tlvs(data, 2)
        self.assertEqual(found, ({AUTHORITY: b"a.example", 0xEA: b"\x01vpce-1"}, -1, None))

    def test_nothing(self) -> None:
        self.assertEqual(read_tlvs(b"", 0), ({}, -1, None))
        self.assertEqual(read_tlvs(b"abc", 3), ({}, -1, None))

    def test_where_the_checksum_is(self) -> None:
        found = read_tlvs(b"??" + tlv(0xE0, b"x") + tlv(CRC32C, b"abcd") + tlv(0xE1, b""), 2)
        self.assertEqual(found, ({0xE0: b"x", 0xE1: b""}, 9, None))

    def test_the_last_of_an_unknown_type_counts(self) -> None:
        self.assertEqual(read_tlvs(tlv(0xE0, b"1") + tlv(0xE0, b"2"), 0).values, {0xE0: b"2"})

    def test_ssl(self) -> None:
        inner = tlv(SSL_VERSION, b"TLSv1.3") + tlv(SSL_CN, b"me") + tlv(0x7F, b"new")
        found = read_tlvs(tlv(SSL, b"\x03\0\0\0\x14" + inner), 0).ssl
        self.assertEqual(found, ProxySsl(3, 20, {SSL_VERSION: b"TLSv1.3", SSL_CN: b"me", 0x7F: b"new"}))

    def test_malformed(self) -> None:
        rows = [
            ("a type alone", b"\x01"),
            ("half a length", b"\x01\x00"),
            ("a value that is missing", b"\x01\x00\x01"),
            ("a value that is cut off", b"\x01\x00\x05abcd"),
            ("the longest length", b"\x01\xff\xff" + bytes(100)),
            ("rubbish behind a good one", tlv(AUTHORITY, b"a") + b"\x00"),
            ("authority twice", tlv(AUTHORITY, b"a") * 2),
            ("checksum twice", tlv(CRC32C, bytes(4)) * 2),
            ("checksum of 3 bytes", tlv(CRC32C, bytes(3))),
            ("checksum of 5 bytes", tlv(CRC32C, bytes(5))),
            ("authority that is not UTF-8", tlv(AUTHORITY, b"\xff")),
            ("unique id of 129 bytes", tlv(UNIQUE_ID, bytes(129))),
            ("SSL without its fixed part", tlv(SSL, bytes(4))),
            ("SSL with half a TLV", tlv(SSL, bytes(5) + b"\x21\x00")),
            ("SSL with a TLV that is cut off", tlv(SSL, bytes(5) + b"\x21\x00\x09TLSv1.3")),
            ("SSL with two versions", tlv(SSL, bytes(5) + tlv(SSL_VERSION, b"1") * 2)),
            ("SSL twice", tlv(SSL, bytes(5)) * 2),
        ]
        for name, data in rows:
            with self.subTest(name):
                self.assertRaises(TlvError, read_tlvs, data, 0)

    def test_just_allowed(self) -> None:
        for data in (tlv(UNIQUE_ID, bytes(128)), tlv(SSL, bytes(5)), tlv(AUTHORITY, b""), tlv(NOOP, b"x") * 3):
            read_tlvs(data, 0)


class WriteTests(SynchronousTestCase):
    @given(st.dictionaries(st.sampled_from([0x01, 0x30, 0x40, 0xE0, 0xFF]), st.binary(max_size=40)))
    def test_what_is_written_is_read(self, values: dict[int, bytes]) -> None:
        self.assertEqual(read_tlvs(write_tlvs(values), 0).values, values)

    @given(
        st.integers(0, 255),
        st.integers(0, 2**32 - 1),
        st.dictionaries(st.integers(0, 255), st.binary(max_size=20), max_size=5),
    )
    def test_ssl(self, client: int, verify: int, inner: dict[int, bytes]) -> None:
        ssl = ProxySsl(client, verify, inner)
        self.assertEqual(read_tlvs(write_tlvs({SSL: write_ssl(ssl)}), 0).ssl, ssl)

    def test_bytes(self) -> None:
        self.assertEqual(write_tlvs({AUTHORITY: b"ab", NOOP: b""}), b"\x02\x00\x02ab\x04\x00\x00")
        self.assertEqual(write_ssl(ProxySsl(1, 0, {SSL_VERSION: b"TLSv1.2"})), b"\x01\0\0\0\0" + SSL_TLVS)

    def test_too_long(self) -> None:
        self.assertRaises(ValueError, write_tlvs, {1: bytes(65536)})
        self.assertRaises(ValueError, write_tlvs, {256: b""})
