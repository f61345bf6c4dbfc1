"""The four forms of a request target against a Host; whole requests are in test_http1_tables."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.http1_fields import Refused
from edgegw.wire.http1_target import parse_host, parse_target
from edgegw.wire.path import EscapedSlashes, normalise

Read = tuple[str, str | None, bytes | None]


def read(method: str, target: str, host: bytes = b"a", slashes: EscapedSlashes = "reject") -> Read | str:
    """(path, query, authority) or the reason of the refusal, which is always a 400."""
    try:
        found = parse_target(method, target, host, slashes)
    except Refused as error:
        assert error.status == 400, error
        return error.reason
    return found.path, found.query, found.authority


class TargetTests(SynchronousTestCase):
    """What each form says, and what it must agree with."""

    def check(self, rows: tuple[tuple[str, str, bytes, Read | str], ...]) -> None:
        for method, target, host, wanted in rows:
            self.assertEqual(read(method, target, host), wanted, (method, target, host))

    def test_origin_form(self) -> None:
        self.check(
            (
                ("GET", "/", b"a", ("/", None, None)),
                ("GET", "/?", b"a", ("/", "", None)),
                ("GET", "/a/../b?c=/../d?e", b"", ("/b", "c=/../d?e", None)),
                ("GET", "/a%2fb", b"a", "escaped_slash"),
                ("GET", "/a?b c", b"a", "bad_query"),
                ("GET", "/..", b"a", "path_escapes_root"),
                ("GET", "", b"a", "bad_target"),
                ("GET", "a/b", b"a", "bad_target"),
            )
        )

    def test_policy_of_escaped_slashes_reaches_both_forms(self) -> None:
        for target in ("/a%2Fb", "http://a/a%2Fb"):
            self.assertEqual(parse_target("GET", target, b"a", "redirect").redirect, "/a/b")
            self.assertEqual(parse_target("GET", target, b"a", "keep").path, "/a%2Fb")
            self.assertIsNone(parse_target("GET", target, b"a", "keep").redirect)

    def test_absolute_form(self) -> None:
        self.check(
            (
                ("GET", "http://a", b"a", ("/", None, b"a")),
                ("GET", "http://a", b"", ("/", None, b"a")),
                ("GET", "hTTp://A.:80/x/./y?z", b"a", ("/x/y", "z", b"A.:80")),
                ("GET", "https://a", b"a:443", ("/", None, b"a")),
                ("GET", "http://a:8080/x", b"A:8080", ("/x", None, b"a:8080")),
                ("GET", "http://a/x", b"a:443", "host_mismatch"),
                ("GET", "https://a/x", b"a:80", "host_mismatch"),
                ("GET", "http://b/x", b"a", "host_mismatch"),
                ("GET", "http://a/x", b"a b", "bad_host"),
                ("GET", "http:///x", b"a", "bad_target"),
                ("GET", "http://u@a/x", b"a", "bad_target"),
                ("GET", "http://a:0/", b"a", "bad_target"),
                ("GET", "http://a/..", b"a", "path_escapes_root"),
                ("GET", "ws://a/x", b"a", "bad_target"),
            )
        )

    def test_asterisk_form_is_for_options(self) -> None:
        self.check(
            (
                ("OPTIONS", "*", b"a", ("*", None, None)),
                ("OPTIONS", "http://a", b"a", ("*", None, b"a")),
                ("OPTIONS", "http://a/", b"a", ("/", None, b"a")),
                ("OPTIONS", "http://a?", b"a", ("/", "", b"a")),
                ("GET", "*", b"a", "bad_target"),
            )
        )

    def test_authority_form_is_for_connect(self) -> None:
        self.check(
            (
                ("CONNECT", "a:443", b"a:443", ("/", None, b"a:443")),
                ("CONNECT", "a:443", b"a", ("/", None, b"a:443")),
                ("CONNECT", "a:443", b"", ("/", None, b"a:443")),
                ("CONNECT", "a:443", b"a:444", "host_mismatch"),
                ("CONNECT", "a:443", b"b:443", "host_mismatch"),
                ("CONNECT", "a", b"a", "bad_target"),
                ("CONNECT", "/", b"a", "bad_target"),
                ("CONNECT", "http://a:443", b"a:443", "bad_target"),
                ("GET", "a:443", b"a:443", "bad_target"),
            )
        )

    @given(
        st.text("ab/.%2eEfF?*:#@ \\\x00é", max_size=14),
        st.sampled_from(["", "/", "http://a", "http://a/", "https://a:80/"]),
    )
    def test_an_accepted_path_is_normal(self, rest: str, begin: str) -> None:
        found = read("GET", begin + rest)
        if isinstance(found, tuple):
            self.assertEqual(normalise(found[0], "reject").path, found[0])
            self.assertNotRegex(found[1] or "", r"[^!-~]|#")


class HostTests(SynchronousTestCase):
    """The Host field."""

    def test_read(self) -> None:
        for value, wanted in (
            (b"A.Example.", ("a.example", None)),
            (b"a:65535", ("a", 65535)),
            (b"[::0:1]:1", ("::1", 1)),
        ):
            self.assertEqual(parse_host(value), wanted, value)

    def test_refused(self) -> None:
        for value in (b"", b"a:", b"a:65536", b"a/", b"u@a", b"a,b", b"[::1", b"::1"):
            with self.assertRaises(Refused) as caught:
                parse_host(value)
            self.assertEqual((caught.exception.status, caught.exception.reason), (400, "bad_host"), value)
            self.assertTrue(caught.exception.detail)
