"""Tests of edgegw.upstream.balance.keys."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.model import Exchange
from edgegw.testing.exchanges import make_exchange
from edgegw.upstream.balance.keys import compile_key, read_key

RIGHT = ("client_ip", "path", "header:X-User", "cookie:sid", "query:user id", "query:ä")

WRONG = (
    (7, "must be one of client_ip, path, header:NAME, cookie:NAME and query:NAME, not the number 7"),
    ("", '"" is no key; there are client_ip, path, header:NAME, cookie:NAME and query:NAME'),
    ("clientip", '"clientip" is no key; did you mean client_ip?'),
    ("heder:X-User", '"heder:X-User" is no key; did you mean header:X-User?'),
    ("Header:X-User", '"Header:X-User" is no key; did you mean header:X-User?'),
    ("cookies", '"cookies" is no key; did you mean cookie:NAME?'),
    ("header", "whose header? write header:NAME"),
    ("query:", "whose query? write query:NAME"),
    ("client_ip:x", 'client_ip stands alone: write client_ip, not "client_ip:x"'),
    ("header:X User", '"X User" cannot be the name of a header'),
    ("cookie:a=b", '"a=b" cannot be the name of a cookie'),
    ("query:a\r\nb", '"a\\x0d\\x0ab" cannot be the name of a query'),
    ("query:\ud800", '"\\xd800" cannot be the name of a query'),
)


def exchange(url: str = "/", *fields: tuple[bytes, bytes]) -> Exchange:
    return make_exchange(url=url, headers=list(fields))


class KeyTests(SynchronousTestCase):
    def test_right_and_wrong(self) -> None:
        for text in RIGHT:
            self.assertEqual(read_key(f" {text} "), text)
        for value, words in WRONG:
            with self.subTest(value=value):
                self.assertEqual(str(self.assertRaises(ValueError, read_key, value)), words)

    def test_header(self) -> None:
        key = compile_key("header:X-User")
        self.assertEqual(key(exchange("/", (b"x-user", b"ann"), (b"X-USER", b"bob"))), b"ann")
        self.assertIsNone(key(exchange("/", (b"X-Other", b"ann"))))
        self.assertIsNone(key(exchange("/", (b"X-User", b""))))

    def test_cookie(self) -> None:
        key = compile_key("cookie:sid")
        self.assertEqual(key(exchange("/", (b"Cookie", b"a=1; sid=77"))), b"77")
        self.assertIsNone(key(exchange("/", (b"Cookie", b"SID=77; xsid=1"))))

    def test_query(self) -> None:
        key = compile_key("query:user id")
        self.assertEqual(key(exchange("/x?a=1&user+id=b%2Fc")), b"b/c")
        self.assertIsNone(key(exchange("/x?userid=1")))
        self.assertIsNone(key(exchange("/x")))

    def test_path(self) -> None:
        key = compile_key("path")
        self.assertEqual(key(exchange("/a/b?c=1")), b"/a/b")

    def test_path_is_what_is_sent_on(self) -> None:
        made = exchange("/v1/users")
        made.request.path = "/users"
        self.assertEqual(compile_key("path")(made), b"/users")

    def test_client(self) -> None:
        key = compile_key("client_ip")
        made = exchange()
        made.client = "192.0.2.7"
        self.assertEqual(key(made), b"192.0.2.7")
        made.client = ""
        self.assertIsNone(key(made))
