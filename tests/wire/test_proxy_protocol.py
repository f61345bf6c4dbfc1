"""PROXY protocol: every row whole, byte by byte and with bytes behind, and what is written."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.proxy_header import (
    ALPN,
    AUTHORITY,
    CRC32C,
    NETNS,
    NOOP,
    PROXY_REASONS,
    SSL,
    ProxyAddress,
    ProxyFault,
    ProxyHeader,
)
from edgegw.wire.proxy_protocol import (
    SIGNATURE,
    V1_MAX,
    V2_MAX,
    ProxyReader,
    encode_v1,
    encode_v2,
    proxy_tlvs,
)

Found = ProxyHeader | ProxyFault | None
FOUR = ProxyAddress("192.168.0.1", 56324), ProxyAddress("192.168.0.11", 443)
SIX = ProxyAddress("2001:db8::1", 65535), ProxyAddress("fe80::abcd", 0)
UNKNOWN_1, UNKNOWN_2, LOCAL = (
    ProxyHeader(1, False, None, None),
    ProxyHeader(2, False, None, None),
    ProxyHeader(2, True, None, None),
)
LONGEST = b"PROXY UNKNOWN " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n"
IN4 = bytes([192, 168, 0, 1, 192, 168, 0, 11]) + struct.pack("!HH", 56324, 443)
IN6 = b"".join(ip_address(each.host).packed for each in SIX) + struct.pack("!HH", 65535, 0)
PATHS = b"/run/a".ljust(108, b"\0") + b"\0abstract".ljust(108, b"\0")

HAPROXY = bytes.fromhex(
    "0d0a0d0a000d0a515549540a2111007d7f0000017f000001cc046cff0300045a3e112702001073686f702e6578616d706c652e636f6d05000869642d3133353638"
    "2000490700000000210007544c5376312e332200026d65250005454332353624001165636473612d776974682d534841323536230016544c535f4145535f323536"
    "5f47434d5f534841333834"
)
"""By HAProxy 2.6: `send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,cert-key,cert-sig,unique-id,authority,crc32c`."""


def v1(line: str) -> bytes:
    return f"PROXY {line}\r\n".encode("latin-1")


def v2(kind: int, body: bytes = b"", command: int = 0x21, size: int | None = None) -> bytes:
    return SIGNATURE + bytes((command, kind)) + struct.pack("!H", len(body) if size is None else size) + body


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def good(version: Any, ends: tuple[ProxyAddress, ProxyAddress], tlvs: dict[int, bytes] | None = None) -> ProxyHeader:
    return ProxyHeader(version, False, *ends, tlvs or {})


HEADERS: list[tuple[str, bytes, ProxyHeader]] = [
    ("v1 TCP4", v1("TCP4 192.168.0.1 192.168.0.11 56324 443"), good(1, FOUR)),
    ("v1 TCP6", v1("TCP6 2001:DB8:0::1 fe80::abcd 65535 0"), good(1, SIX)),
    ("v1 UNKNOWN", v1("UNKNOWN"), UNKNOWN_1),
    ("v1 UNKNOWN, addresses", v1("UNKNOWN 1.2.3.4 5.6.7.8 1 2"), UNKNOWN_1),
    ("v1 UNKNOWN, rubbish", v1("UNKNOWN \x00\r\xff"), UNKNOWN_1),
    ("v1 UNKNOWN, longest", LONGEST, UNKNOWN_1),
    ("v2 TCP4", v2(0x11, IN4), good(2, FOUR)),
    ("v2 TCP6", v2(0x21, IN6), good(2, SIX)),
    ("v2 UNIX", v2(0x31, PATHS), good(2, (ProxyAddress("", 0, b"/run/a"), ProxyAddress("", 0, b"\0abstract")))),
    ("v2 LOCAL", v2(0, command=0x20), LOCAL),
    ("v2 LOCAL with addresses", v2(0x11, IN4, 0x20), LOCAL),
    ("v2 LOCAL, any family", v2(0xFF, b"rubbish", 0x20), LOCAL),
    ("v2 UNSPEC", v2(0), UNKNOWN_2),
    ("v2 UNSPEC with bytes", v2(0, b"\x01\x00"), UNKNOWN_2),
    ("v2 no family, stream", v2(0x01, IN4), UNKNOWN_2),
    ("v2 TCP4, transport UNSPEC", v2(0x10, IN4), UNKNOWN_2),
    ("v2 TLVs", v2(0x11, IN4 + tlv(ALPN, b"h2") + tlv(NOOP, b"..") + tlv(NETNS, b"ns") + tlv(0xE0, b"")),
     good(2, FOUR, {ALPN: b"h2", NETNS: b"ns", 0xE0: b""})),
    ("v2 as long as is read", v2(0x11, IN4 + tlv(0xE0, bytes(2048 - 15))), good(2, FOUR, {0xE0: bytes(2033)})),
]  # fmt: skip

FAULTS: list[tuple[str, bytes, str]] = [
    ("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "proxy_header_missing"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01", "proxy_header_missing"),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "proxy_header_missing"),
    ("lower case", b"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "proxy_header_missing"),
    ("one space before", b" PROXY UNKNOWN\r\n", "proxy_header_missing"),
    ("a tab behind PROXY", b"PROXY\tUNKNOWN\r\n", "proxy_header_missing"),
    ("nothing behind PROXY", b"PROXY\r\n", "proxy_header_missing"),
    ("signature broken off", SIGNATURE[:11] + b"\r", "proxy_header_missing"),
    ("v1 no protocol", b"PROXY \r\n", "proxy_header_malformed"),
    ("v1 UDP", v1("UDP4 1.2.3.4 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 lower case", v1("tcp4 1.2.3.4 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 UNKNOWNS", v1("UNKNOWNS"), "proxy_header_malformed"),
    ("v1 two spaces", v1("TCP4  1.2.3.4 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 space at the end", v1("TCP4 1.2.3.4 1.2.3.4 1 1 "), "proxy_header_malformed"),
    ("v1 a fifth word", v1("TCP4 1.2.3.4 1.2.3.4 1 1 x"), "proxy_header_malformed"),
    ("v1 a word less", v1("TCP4 1.2.3.4 1.2.3.4 1"), "proxy_header_malformed"),
    ("v1 port 65536", v1("TCP4 1.2.3.4 1.2.3.4 65536 1"), "proxy_header_malformed"),
    ("v1 port 01", v1("TCP4 1.2.3.4 1.2.3.4 1 01"), "proxy_header_malformed"),
    ("v1 port 00", v1("TCP4 1.2.3.4 1.2.3.4 00 1"), "proxy_header_malformed"),
    ("v1 port +1", v1("TCP4 1.2.3.4 1.2.3.4 +1 1"), "proxy_header_malformed"),
    ("v1 port -1", v1("TCP4 1.2.3.4 1.2.3.4 -1 1"), "proxy_header_malformed"),
    ("v1 no port", v1("TCP4 1.2.3.4 1.2.3.4  1"), "proxy_header_malformed"),
    ("v1 zero before", v1("TCP4 1.2.3.04 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 three parts", v1("TCP4 1.2.3 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 256", v1("TCP4 1.2.3.256 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 hexadecimal", v1("TCP4 0x1.2.3.4 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 a name", v1("TCP4 localhost 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 superscript digit", v1("TCP4 \xb9.2.3.4 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 IPv6 in TCP4", v1("TCP4 ::1 ::1 1 1"), "proxy_header_malformed"),
    ("v1 IPv4 in TCP6", v1("TCP6 1.2.3.4 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 families mixed", v1("TCP6 ::1 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 zone", v1("TCP6 fe80::1%1 ::1 1 1"), "proxy_header_malformed"),
    ("v1 brackets", v1("TCP6 [::1] ::1 1 1"), "proxy_header_malformed"),
    ("v1 two ::", v1("TCP6 1::2::3 ::1 1 1"), "proxy_header_malformed"),
    ("v1 LF", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", "proxy_header_malformed"),
    ("v1 LF behind two digits", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 12\n", "proxy_header_malformed"),
    ("v1 UNKNOWN LF", b"PROXY UNKNOWN\nGET", "proxy_header_malformed"),
    ("v1 UNKNOWN space LF", b"PROXY UNKNOWN \n", "proxy_header_malformed"),
    ("v1 CR CR LF", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\r\n", "proxy_header_malformed"),
    ("v1 NUL", v1("TCP4 1.2.3.4\0 1.2.3.4 1 1"), "proxy_header_malformed"),
    ("v1 endless", b"PROXY UNKNOWN " + b"a" * 200, "proxy_header_too_long"),
    ("v1 108 bytes", b"PROXY UNKNOWN " + b"a" * 92 + b"\r\n", "proxy_header_too_long"),
    ("v2 version 1", v2(0x11, IN4, 0x11), "proxy_header_malformed"),
    ("v2 version 3", v2(0x11, IN4, 0x31), "proxy_header_malformed"),
    ("v2 version 3, local", v2(0x11, IN4, 0x30), "proxy_header_malformed"),
    ("v2 command 2", v2(0x11, IN4, 0x22), "proxy_header_malformed"),
    ("v2 family 4", v2(0x41, IN4), "proxy_header_malformed"),
    ("v2 transport 3", v2(0x13, IN4), "proxy_header_malformed"),
    ("v2 UDP", v2(0x12, IN4), "proxy_not_stream"),
    ("v2 UDP6", v2(0x22, IN6), "proxy_not_stream"),
    ("v2 UNIX datagram", v2(0x32, PATHS), "proxy_not_stream"),
    ("v2 datagram of no family", v2(0x02), "proxy_not_stream"),
    ("v2 TCP4 without addresses", v2(0x11), "proxy_header_malformed"),
    ("v2 TCP4 a byte short", v2(0x11, IN4[:-1]), "proxy_header_malformed"),
    ("v2 TCP6 a byte short", v2(0x21, IN6[:-1]), "proxy_header_malformed"),
    ("v2 TCP6 with IPv4's", v2(0x21, IN4), "proxy_header_malformed"),
    ("v2 UNIX a byte short", v2(0x31, PATHS[:-1]), "proxy_header_malformed"),
    ("v2 a byte longer than is read", v2(0x11, b"", size=2049), "proxy_header_too_long"),
    ("v2 longest", v2(0x11, b"", size=65535), "proxy_header_too_long"),
    ("v2 one byte behind the addresses", v2(0x11, IN4 + b"\x01"), "proxy_tlv_malformed"),
    ("v2 TLV cut off", v2(0x11, IN4 + b"\x01\x00\x03h2"), "proxy_tlv_malformed"),
    ("v2 SSL of 4 bytes", v2(0x11, IN4 + tlv(SSL, bytes(4))), "proxy_tlv_malformed"),
    ("v2 checksum of 0", v2(0x11, IN4 + tlv(CRC32C, bytes(4))), "proxy_checksum_wrong"),
]


def receive(data: bytes, step: int) -> tuple[Found, bytes]:
    """What a reader finds when it is fed `step` bytes at a time, and the rest."""
    reader = ProxyReader()
    found: Found = None
    for at in range(0, len(data), step):
        found = reader.receive(data[at : at + step])
    return found, reader.rest


class RowTests(SynchronousTestCase):
    def test_headers(self) -> None:
        for name, data, expected in HEADERS:
            for behind in (b"", b"\x16\x03", b"GET / HTTP/1.1\r\n\r\n", SIGNATURE):
                for step in (1, 7, 4096):
                    with self.subTest(name=name, behind=behind, step=step):
                        self.assertEqual(receive(data + behind, step), (expected, behind))

    def test_no_header_before_its_last_byte(self) -> None:
        for name, data, _ in HEADERS:
            with self.subTest(name):
                self.assertEqual(receive(data[:-1], 1), (None, b""))

    def test_faults(self) -> None:
        for name, data, reason in FAULTS:
            for step in (1, 7, 4096):
                with self.subTest(name=name, step=step):
                    found, rest = receive(data + b"behind", step)
                    assert isinstance(found, ProxyFault), found
                    self.assertEqual((found.reason, rest), (reason, b""))
                    self.assertTrue(found.detail)

    def test_every_reason_has_a_row(self) -> None:
        self.assertEqual({reason for _, _, reason in FAULTS}, set(PROXY_REASONS))

    def test_strangers_are_told_from_their_first_bytes(self) -> None:
        for data in (b"G", b"\x16", b"PRI", b"PROXY\r", b"\r\n\r\nG", b"\n"):
            found, _ = receive(data, 1)
            self.assertIsInstance(found, ProxyFault, data)
        self.assertIsNone(ProxyReader().receive(b""))
        self.assertIsNone(receive(b"PROXY", 1)[0])

    def test_too_long_is_told_before_it_comes(self) -> None:
        found, _ = receive(v2(0x11, size=V2_MAX - 15), 1)
        assert isinstance(found, ProxyFault)
        self.assertEqual(found.reason, "proxy_header_too_long")

        longest = b"PROXY UNKNOWN ".ljust(V1_MAX, b"a")
        self.assertIsNone(receive(longest[:-1], 50)[0])
        self.assertIsInstance(receive(longest, 50)[0], ProxyFault)

    def test_an_own_limit(self) -> None:
        self.assertIsInstance(ProxyReader(28).receive(v2(0x11, IN4)), ProxyHeader)
        self.assertIsInstance(ProxyReader(27).receive(v2(0x11, IN4)), ProxyFault)

    def test_the_longest_line(self) -> None:
        self.assertEqual(len(LONGEST), V1_MAX)

    def test_mapped_addresses_are_read_as_they_are(self) -> None:
        found, _ = receive(v1("TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2"), 64)
        assert isinstance(found, ProxyHeader) and found.source and found.destination
        self.assertEqual(ip_address(found.source.host), ip_address("::ffff:c000:201"))
        self.assertEqual(ip_address(found.destination.host), ip_address("::ffff:192.0.2.2"))

    def test_what_was_found_stays_found(self) -> None:
        reader = ProxyReader()
        self.assertEqual(reader.receive(v1("UNKNOWN") + b"a"), reader.receive(b"b"))
        self.assertEqual(reader.rest, b"ab")
        broken = ProxyReader()
        self.assertEqual(broken.receive(b"x"), broken.receive(v1("UNKNOWN")))
        self.assertEqual(broken.rest, b"")


class ChecksumTests(SynchronousTestCase):
    def test_right_wherever_it_stands(self) -> None:
        data = encode_v2(*FOUR, {AUTHORITY: b"a"}, checksum=True)
        self.assertEqual(receive(data, 5), (good(2, FOUR, {AUTHORITY: b"a"}), b""))

    def test_every_flipped_bit_is_seen(self) -> None:
        data = encode_v2(*FOUR, {AUTHORITY: b"a"}, checksum=True)
        for at in range(16, len(data)):
            for bit in range(8):
                found, _ = receive(data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :], 4096)
                # A flipped type makes the checksum a TLV nobody knows; all else is seen.
                if at != len(data) - 7:
                    self.assertIsInstance(found, ProxyFault, (at, bit))

    def test_haproxy(self) -> None:
        found, rest = receive(HAPROXY + b"rest", 5)
        assert isinstance(found, ProxyHeader) and found.ssl, found
        self.assertEqual(str(found), "v2 127.0.0.1:52228 -> 127.0.0.1:27903")
        self.assertEqual((found.authority, found.unique_id, rest), ("shop.example.com", b"id-13568", b"rest"))
        self.assertEqual((found.ssl.version, found.ssl.cipher), ("TLSv1.3", "TLS_AES_256_GCM_SHA384"))
        self.assertEqual((found.ssl.common_name, found.ssl.verified), ("me", True))


class EncodeTests(SynchronousTestCase):
    def test_the_lines_of_the_specification(self) -> None:
        self.assertEqual(encode_v1(*FOUR), b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n")
        self.assertEqual(encode_v1(*SIX), b"PROXY TCP6 2001:db8::1 fe80::abcd 65535 0\r\n")
        self.assertEqual(encode_v2(*FOUR), v2(0x11, IN4))
        self.assertEqual(encode_v2(*SIX), v2(0x21, IN6))

    def test_nothing_to_tell(self) -> None:
        unix = ProxyAddress("", 0, b"/run/x")
        for ends in ((None, None), (FOUR[0], None), (None, FOUR[1]), (FOUR[0], unix), (unix, SIX[0])):
            self.assertEqual(encode_v1(*ends), b"PROXY UNKNOWN\r\n")
            self.assertEqual(encode_v2(*ends), v2(0))
        self.assertEqual(encode_v1(unix, unix), b"PROXY UNKNOWN\r\n")

    def test_local(self) -> None:
        self.assertEqual(encode_v2(*FOUR, local=True), v2(0, command=0x20))

    def test_families_mixed(self) -> None:
        found, _ = receive(encode_v2(FOUR[0], SIX[0]), 99)
        assert isinstance(found, ProxyHeader) and found.source
        self.assertEqual(ip_address(found.source.host), ip_address("::ffff:192.168.0.1"))
        found, _ = receive(encode_v1(SIX[0], FOUR[0]), 99)
        assert isinstance(found, ProxyHeader) and found.destination
        self.assertEqual(ip_address(found.destination.host), ip_address("::ffff:192.168.0.1"))

    def test_a_zone_is_left_out(self) -> None:
        self.assertIn(b" fe80::1 ", encode_v1(ProxyAddress("fe80::1%eth0", 1), SIX[0]))

    def test_refused(self) -> None:
        for ends in (
            (ProxyAddress("shop.example", 1), FOUR[0]),
            (ProxyAddress("1.2.3.4", 65536), FOUR[0]),
            (ProxyAddress("1.2.3.4", -1), FOUR[0]),
            (ProxyAddress("", 0, bytes(109)), ProxyAddress("", 0)),
        ):
            self.assertRaises(ValueError, encode_v2, *ends)
        self.assertRaises(ValueError, encode_v1, ProxyAddress("1.2.3.4\r\n", 1), FOUR[0])
        self.assertRaises(ValueError, encode_v2, *FOUR, {0xE0: bytes(65530)})
        self.assertRaises(ValueError, proxy_tlvs, unique_id=bytes(129))
