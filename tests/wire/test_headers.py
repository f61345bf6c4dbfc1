"""The ordered header list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.headers import Headers

NAMES = st.sampled_from([b"A", b"a", b"B", b"Set-Cookie", b"set-cookie"])
PAIRS = st.lists(st.tuples(NAMES, st.binary(max_size=3)), max_size=8)


class HeadersTests(SynchronousTestCase):
    """Order, spelling and look-up."""

    def setUp(self) -> None:
        self.headers = Headers.of([(b"Host", b"a"), (b"Set-Cookie", b"x=1"), (b"SET-COOKIE", b"y=2")])

    def test_order_and_spelling_are_kept(self) -> None:
        self.assertEqual(list(self.headers), [(b"Host", b"a"), (b"Set-Cookie", b"x=1"), (b"SET-COOKIE", b"y=2")])
        self.assertEqual(len(self.headers), 3)

    def test_look_up(self) -> None:
        self.assertEqual(self.headers.get(b"set-cookie"), b"x=1")
        self.assertEqual(self.headers.get(b"nope", b"d"), b"d")
        self.assertEqual(self.headers.get_all(b"set-cookie"), [b"x=1", b"y=2"])
        self.assertEqual(self.headers.get_all(b"nope"), [])
        self.assertEqual(self.headers.joined(b"set-cookie"), b"x=1, y=2")
        self.assertIsNone(self.headers.joined(b"nope"))
        self.assertIn(b"host", self.headers)
        self.assertEqual(self.headers.first(), {b"host": b"a", b"set-cookie": b"x=1"})

    def test_changes_are_seen_by_look_up(self) -> None:
        self.assertEqual(self.headers.get(b"x"), None)
        self.headers.add(b"X", b"1")
        self.assertEqual(self.headers.get(b"x"), b"1")
        self.headers.set(b"x", b"2")
        self.assertEqual(self.headers.get_all(b"x"), [b"2"])
        self.headers.set_default(b"X", b"3")
        self.headers.set_default(b"Y", b"4")
        self.assertEqual((self.headers.get(b"x"), self.headers.get(b"y")), (b"2", b"4"))
        self.headers.remove(b"x")
        self.assertNotIn(b"x", self.headers)
        self.headers.remove_all({b"host", b"y"})
        self.assertEqual([name for name, _ in self.headers], [b"Set-Cookie", b"SET-COOKIE"])

    def test_a_copy_is_its_own(self) -> None:
        copy = self.headers.copy()
        self.assertEqual(copy, self.headers)
        copy.add(b"X", b"1")
        self.assertNotEqual(copy, self.headers)
        self.assertNotIn(b"x", self.headers)

    @given(PAIRS, NAMES, st.binary(max_size=3))
    def test_set_leaves_one(self, pairs: list[tuple[bytes, bytes]], name: bytes, value: bytes) -> None:
        headers = Headers.of(pairs)
        others = [pair for pair in pairs if pair[0].lower() != name.lower()]
        headers.set(name, value)
        self.assertEqual(list(headers), [*others, (name, value)])

    @given(PAIRS, PAIRS, st.lists(st.tuples(st.sampled_from(["remove", "remove_all", "set", "extend", "look"]), NAMES)))
    def test_look_up_knows_every_change(
        self, pairs: list[tuple[bytes, bytes]], more: list[tuple[bytes, bytes]], changes: list[tuple[str, bytes]]
    ) -> None:
        headers = Headers.of(pairs)
        for change, name in changes:
            if change == "remove":
                headers.remove(name.lower())
            elif change == "remove_all":
                headers.remove_all({name.lower(), b"z"})
            elif change == "set":
                headers.set(name, b"new")
            elif change == "extend":
                headers.extend(Headers.of(more).fields)
            else:
                headers.first()
            again = Headers(headers.fields)
            if headers._first is not None:
                self.assertEqual(headers._first, again.first())
            self.assertEqual(
                headers.get_all(name.lower()), [value for lower, _, value in headers.fields if lower == name.lower()]
            )

    @given(PAIRS)
    def test_first_is_the_first(self, pairs: list[tuple[bytes, bytes]]) -> None:
        headers = Headers.of(pairs)
        for lower in {name.lower() for name, _ in pairs}:
            values = [value for name, value in pairs if name.lower() == lower]
            self.assertEqual((headers.get(lower), headers.get_all(lower)), (values[0], values))
