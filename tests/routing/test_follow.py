"""The way back of an answer's words, one function at a time; rewrites end to end are in test_rewrite."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.routing.follow import Followed
from edgegw.wire.headers import Headers

BACK = Followed("/users", "/v2", "https", b"shop.example:8443", b"u.internal:81")
SAME_HOST = Followed("/users", "/v2", "http", b"shop.example", None)


class PathTests(SynchronousTestCase):
    def test_the_inner_prefix_becomes_the_outer_one(self) -> None:
        for path, wanted in (
            (b"/v2", b"/users"),
            (b"/v2/", b"/users/"),
            (b"/v2?a", b"/users?a"),
            (b"/v2#a", b"/users#a"),
            (b"/v2;a/b", b"/users;a/b"),
            (b"/v22", b"/v22"),
            (b"/V2/a", b"/V2/a"),
            (b"/a/v2", b"/a/v2"),
            (b"/", b"/"),
        ):
            self.assertEqual(BACK.path(path), wanted, path)

    def test_one_of_them_may_be_the_root(self) -> None:
        into = Followed("", "/v2", "http", b"a", None)
        self.assertEqual(
            [into.path(each) for each in (b"/v2", b"/v2/a", b"/v2?q", b"/a")], [b"/", b"/a", b"/?q", b"/a"]
        )
        out = Followed("/users", "", "http", b"a", None)
        self.assertEqual([out.path(each) for each in (b"/", b"/a?q")], [b"/users/", b"/users/a?q"])

    def test_no_change_of_path_is_none(self) -> None:
        self.assertEqual(Followed("/a", "/a", "http", b"a", b"b").path(b"/a/b"), b"/a/b")

    @given(st.sampled_from(["", "/v2", "/a/b"]), st.sampled_from(["", "/users", "/a"]), st.text("av2/?#;", max_size=10))
    def test_a_path_stays_a_path(self, inner: str, outer: str, rest: str) -> None:
        """Never `//host`, which browsers would take for another place, unless it came so."""
        path = ("/" + rest.lstrip("/")).encode()
        back = Followed(outer, inner, "http", b"a", None)
        found = back.path(path)
        self.assertTrue(found.startswith(b"/"), found)
        if b"//" not in path:
            self.assertFalse(found.startswith(b"//"), found)


class PlaceTests(SynchronousTestCase):
    def test_references(self) -> None:
        for value, wanted in (
            (b"", b""),
            (b"a/b", b"a/b"),
            (b"?q", b"?q"),
            (b"/v2/a", b"/users/a"),
            (b"http://u.internal:81", b"https://shop.example:8443"),
            (b"http://U.Internal:81/v2?q", b"https://shop.example:8443/users?q"),
            (b"http://u.internal:81?q", b"https://shop.example:8443?q"),
            (b"//u.internal:81/v2", b"//shop.example:8443/users"),
            (b"ws://u.internal:81/a", b"https://shop.example:8443/a"),
            (b"http://shop.example:8443/v2", b"http://shop.example:8443/users"),
            (b"http://u.internal/v2", b"http://u.internal/v2"),
            (b"//other/v2", b"//other/v2"),
            (b"mailto:a@u.internal:81", b"mailto:a@u.internal:81"),
            (b"http:/v2", b"http:/v2"),
        ):
            self.assertEqual(BACK.place(value), wanted, value)

    def test_without_a_host_of_the_target_only_our_own_is_ours(self) -> None:
        self.assertEqual(
            SAME_HOST.place(b"http://SHOP.example/v2/a"), b"http://shop.example/users/a".replace(b"shop", b"SHOP")
        )
        self.assertEqual(SAME_HOST.place(b"http://u.internal:81/v2/a"), b"http://u.internal:81/v2/a")


class CookieTests(SynchronousTestCase):
    def test_path(self) -> None:
        for value, wanted in (
            (b"a=1", b"a=1"),
            (b"a=Path=/v2", b"a=Path=/v2"),
            (b"a=1; Path=/v2/x", b"a=1; Path=/users/x"),
            (b"a=1;PATH= /v2 ;Secure", b"a=1;PATH=/users;Secure"),
            (b"a=1; Path=/", b"a=1; Path=/"),
            (b"a=1; Path", b"a=1; Path"),
            (b"a=1; Path=v2", b"a=1; Path=v2"),
            (b"__Host-a=1; Path=/v2", b"__Host-a=1; Path=/v2"),
            (b"__Secure-a=1; Path=/v2", b"__Secure-a=1; Path=/users"),
        ):
            self.assertEqual(BACK.cookie(value), wanted, value)

    def test_the_root_of_the_target_is_the_prefix_itself(self) -> None:
        self.assertEqual(Followed("/users", "", "http", b"a", None).cookie(b"a=1; Path=/"), b"a=1; Path=/users")
        self.assertEqual(Followed("", "/v2", "http", b"a", None).cookie(b"a=1; Path=/v2"), b"a=1; Path=/")

    def test_domain(self) -> None:
        for value, wanted in (
            (b"a=1; Domain=u.internal", b"a=1; Domain=shop.example"),
            (b"a=1; domain=.U.INTERNAL; Secure", b"a=1; domain=shop.example; Secure"),
            (b"a=1; Domain=internal", b"a=1; Domain=shop.example"),
            (b"a=1; Domain=nal", b"a=1; Domain=nal"),
            (b"a=1; Domain=x.u.internal", b"a=1; Domain=x.u.internal"),
            (b"a=1; Domain=", b"a=1; Domain="),
            (b"a=1; Domain=.", b"a=1; Domain=."),
        ):
            self.assertEqual(BACK.cookie(value), wanted, value)
        self.assertEqual(SAME_HOST.cookie(b"a=1; Domain=u.internal"), b"a=1; Domain=u.internal")

    def test_no_domain_that_browsers_refuse(self) -> None:
        for authority in (b"localhost", b"10.0.0.1:80", b"[::1]", b"not a host"):
            back = Followed("", "", "http", authority, b"u.internal")
            self.assertEqual(back.cookie(b"a=1; Domain=u.internal; Secure"), b"a=1; Secure", authority)


class ApplyTests(SynchronousTestCase):
    def test_fields_keep_names_and_order(self) -> None:
        headers = Headers.of(
            [
                (b"LOCATION", b"/v2"),
                (b"X", b"/v2"),
                (b"Set-cookie", b"a; Path=/v2"),
                (b"content-location", b"/v2/a"),
                (b"Set-Cookie", b"b"),
            ]
        )
        BACK.apply(headers)
        self.assertEqual(
            [(name, value) for _, name, value in headers.fields],
            [
                (b"LOCATION", b"/users"),
                (b"X", b"/v2"),
                (b"Set-cookie", b"a; Path=/users"),
                (b"content-location", b"/users/a"),
                (b"Set-Cookie", b"b"),
            ],
        )

    def test_nothing_to_do_changes_nothing(self) -> None:
        headers = Headers.of([(b"Link", b"/v2")])
        fields = headers.fields
        BACK.apply(headers)
        self.assertIs(headers.fields, fields)
