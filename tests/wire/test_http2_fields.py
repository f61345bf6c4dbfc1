"""Our blocks are read by hpack as they were meant, the peer's fields are validated, and no table grows without bound."""

from __future__ import annotations

from hpack import Decoder
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.wire import http2_fields
from edgegw.wire.http1_fields import Refused
from edgegw.wire.http2_fields import FieldEncoder, FieldTable, Malformed, encode_fields, encode_pseudo

NAMES = st.text("abz09-!#$%&'*+^`|~_.", min_size=1, max_size=40).map(str.encode)
VALUES = st.text("".join(map(chr, [9, *range(32, 127), *range(128, 256)])), max_size=300).map(
    lambda text: text.encode("latin-1").strip(b" \t")
)


def decoded(block: bytes) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in Decoder().decode(block, raw=True)]


def triple(name: bytes, value: bytes) -> tuple[bytes, bytes, bytes]:
    return (name, name.title(), value)


class EncodingTests(SynchronousTestCase):
    """Stateless, safe, remembered."""

    @given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
    @settings(max_examples=150, deadline=None)
    def test_hpack_reads_it_the_first_time_and_from_memory(self, pairs: list[tuple[bytes, bytes]]) -> None:
        fields = [triple(*pair) for pair in pairs if pair[0] != b"te"]
        for _ in range(3):
            self.assertEqual(decoded(encode_fields(fields)), [(lower, value) for lower, _, value in fields])

    def test_static_rows(self) -> None:
        encoder = FieldEncoder()
        self.assertEqual(encoder[triple(b"accept-encoding", b"gzip, deflate")], b"\x90")
        self.assertEqual(encode_pseudo(b":status", b"200"), b"\x88")
        self.assertEqual(encode_pseudo(b":method", b"GET"), b"\x82")

    def test_huffman_when_it_comes_again(self) -> None:
        encoder, field = FieldEncoder(), triple(b"server", b"edgegw and more")
        first, second = encoder[field], encoder[field]
        self.assertIn(b"edgegw", first)
        self.assertLess(len(second), len(first))
        self.assertEqual(list(encoder), [field])
        self.assertEqual(decoded(first), decoded(second))

    def test_secrets_are_never_indexed_nor_kept(self) -> None:
        for name in (b"authorization", b"cookie", b"set-cookie", b"x-api-key", b"x-session"):
            encoder = FieldEncoder()
            spelt = [encoder[triple(name, b"s3cret")] for _ in range(3)]
            self.assertEqual(spelt[0][0] & 0xF0, 0x10, name)
            self.assertEqual((len(set(spelt)), len(encoder), encoder._once), (1, 0, set()))

    def test_nothing_enters_the_peers_table(self) -> None:
        decoder = Decoder()
        for _ in range(3):
            decoder.decode(encode_fields([triple(b"a", b"b"), triple(b"server", b"x"), triple(b"cookie", b"y")]))
        self.assertEqual(len(decoder.header_table.dynamic_entries), 0)

    def test_connection_fields_come_to_nothing(self) -> None:
        for name in http2_fields.CONNECTION_FIELDS | {b"te"}:
            self.assertEqual(encode_fields([triple(name, b"x")] * 3), b"", name)
        self.assertEqual(decoded(encode_fields([triple(b"te", b"trailers")])), [(b"te", b"trailers")])

    def test_unsafe(self) -> None:
        for name, value in (
            (b"a", b"x\r\ny: z"), (b"a", b"\n"), (b"a", b"\x00"), (b"a", b"\x7f"), (b"A", b"x"), (b"a b", b"x"), (b"", b"x"),
            (b":path", b"/"), (b"a:", b"x"), (b"connection", b"\r\n"), (b"cookie", b"a\r\nb"),
        ):  # fmt: skip
            for _ in range(3):
                with self.assertRaises(GatewayError) as caught:
                    encode_fields([triple(b"ok", b"ok"), (name, name, value)])
                self.assertEqual((caught.exception.status, caught.exception.reason), (500, "unsafe_head"))
        self.assertRaises(GatewayError, encode_pseudo, b":x", b"y")
        self.assertRaises(GatewayError, encode_pseudo, b"path", b"y")
        self.assertRaises(GatewayError, encode_pseudo, b":path", b"/\n")

    def test_bounded(self) -> None:
        encoder = FieldEncoder()
        for number in range(10_000):
            for _ in range(2):
                encoder[triple(b"n%d" % number, b"v%d" % number)]
            self.assertLessEqual(max(len(encoder), len(encoder._once), len(encoder._names)), http2_fields._MEMO)
        encoder[triple(b"a", b"x" * 1000)]
        encoder[triple(b"a", b"x" * 1000)]
        self.assertNotIn(triple(b"a", b"x" * 1000), encoder)


class TableTests(SynchronousTestCase):
    """Pairs to fields."""

    def test_remembered_and_bounded(self) -> None:
        table = FieldTable(underscores=False)
        self.assertIs(table[b"a", b"b"], table[b"a", b"b"])
        for number in range(5000):
            table[b"a", b"%d" % number]
        self.assertLessEqual(len(table), http2_fields._MEMO)
        size = len(table)
        for pair in ((b"cookie", b"x"), (b"authorization", b"x"), (b"a", b"x" * 200)):
            self.assertEqual(table[pair], (pair[0], pair[0], pair[1]))
        self.assertEqual(len(table), size)

    def test_underscores(self) -> None:
        self.assertEqual(FieldTable(underscores=True)[b"a_b", b"c"], (b"a_b", b"a_b", b"c"))
        with self.assertRaises(Refused) as caught:
            FieldTable(underscores=False)[b"a_b", b"c"]
        self.assertNotIsInstance(caught.exception, Malformed)

    def test_values(self) -> None:
        table = FieldTable(underscores=False)
        for value in (b"", b"a\tb", b"\x80\xff", b"a  b"):
            self.assertEqual(table[b"a", value][2], value)
        for value in (b" ", b"a ", b"\ta", b"a\x0b", b"\x7f"):
            self.assertRaises(Malformed, table.__getitem__, (b"a", value))
