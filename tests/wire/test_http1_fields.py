"""The field tables: what is remembered, and what must not be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.http1_fields import FieldTable, Refused, refuse_bad_bytes

LINES = st.one_of(
    st.binary(max_size=12),
    st.lists(
        st.sampled_from([b"X", b"a-b", b":", b" ", b"\t", b"_", b"\x00", b"\r", b"\n", b"\xe9", b"1"]), max_size=6
    ).map(b"".join),
)


def reason_of(table: FieldTable, line: bytes) -> object:
    try:
        return table[line]
    except Refused as error:
        return error.reason


class FieldTableTests(SynchronousTestCase):
    """Validation once, and the bounds of memory."""

    def test_a_known_line_is_the_same_object(self) -> None:
        table = FieldTable(underscores=False)
        self.assertEqual(table[b"Accept:  */* "], (b"accept", b"Accept", b"*/*"))
        self.assertIs(table[b"Accept:  */* "], table[b"Accept:  */* "])

    def test_secrets_and_long_lines_are_not_remembered(self) -> None:
        table = FieldTable(underscores=False)
        for name in (
            b"Authorization",
            b"Proxy-Authorization",
            b"Cookie",
            b"Set-Cookie",
            b"X-Api-Key",
            b"X-Auth-User",
            b"X-CSRF-Token",
            b"X-Session",
            b"X-Client-Cert",
        ):
            self.assertEqual(table[name + b": s"], (name.lower(), name, b"s"))
        table[b"X: " + b"a" * 200]
        self.assertEqual(len(table), 0)

    def test_bounded(self) -> None:
        table = FieldTable(underscores=False)
        for number in range(5000):
            table[b"X-%d: %d" % (number, number)]
        self.assertLessEqual(len(table), 2048)
        self.assertLessEqual(len(table._lower), 2048)

    def test_underscores(self) -> None:
        self.assertEqual(reason_of(FieldTable(underscores=False), b"X_Y: a"), "underscore_in_name")
        self.assertEqual(FieldTable(underscores=True)[b"X_Y: a"], (b"x_y", b"X_Y", b"a"))

    def test_a_known_name_does_not_excuse_a_missing_colon(self) -> None:
        table = FieldTable(underscores=False)
        table[b"X: a"]
        self.assertEqual(reason_of(table, b"X"), "missing_colon")

    @given(LINES)
    def test_a_warm_table_says_what_a_cold_one_says(self, line: bytes) -> None:
        warm = FieldTable(underscores=False)
        for known in (b"X: 1", b"a-b: 1", b"1: 1"):
            warm[known]
        reason_of(warm, line)
        self.assertEqual(reason_of(warm, line), reason_of(FieldTable(underscores=False), line))

    @given(LINES)
    def test_an_accepted_line_is_a_field(self, line: bytes) -> None:
        field = reason_of(FieldTable(underscores=False), line)
        if isinstance(field, tuple):
            self.assertRegex(field[1], rb"\A[!#$%&'*+\-.^`|~0-9A-Za-z]+\Z")
            self.assertRegex(field[2], rb"\A(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?\Z")

    def test_bad_bytes(self) -> None:
        for data, reason in (
            (b"a\nb", "bare_lf"),
            (b"\n", "bare_lf"),
            (b"a\rb", "bare_cr"),
            (b"a\r\r\n", "bare_cr"),
            (b"\x00", "nul_byte"),
            (b"\x7f", "control_byte"),
        ):
            with self.assertRaises(Refused) as caught:
                refuse_bad_bytes(data, 0, len(data))
            self.assertEqual(caught.exception.reason, reason, data)
        refuse_bad_bytes(b"a\r\nb\tc\xe9\r", 0, 9)
        refuse_bad_bytes(b"\r\n", 1, 2)
