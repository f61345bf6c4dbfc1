"""Tests of edgegw.middleware.transcode.requests."""

from __future__ import annotations

import string
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Side
from edgegw.middleware.transcode.requests import MAX_NAMES, Requests, unescape, unescape_path
from edgegw.middleware.transcode.settings import TranscodeSettings
from edgegw.middleware.transcode.values import Values
from tests.middleware.transcode.apis import fit, message, order, orders

BODY = message("google.api.HttpBody")


def known(name: str, **fields: Any) -> Any:
    """One of protobuf's own messages."""
    return message(f"google.protobuf.{name}", **fields)


BIG = 9007199254740993

# Method, target, body -> the message. Envoy 1.40 makes the same of all but those below "of our own".
GOOD: list[tuple[str, str, str, Any]] = [
    # The path.
    ("GET", "/v1/orders/a%20b", "", order(text="a b")),
    ("GET", "/v1/orders/a%2Fb", "", order(text="a/b")),
    ("GET", "/v1/orders/%C3%B6%25", "", order(text="\u00f6%")),
    ("GET", "/v1/users/u%2Fx/orders/o", "", order(text="o", child=order(text="u/x"))),
    ("GET", "/v1/numbers/12/true/RED", "", order(big=12, flag=True, color=1)),
    ("GET", "/v1/times/2024-01-02T03%3A04%3A05Z", "", order(at=known("Timestamp", seconds=1704164645))),
    ("GET", "/v1/deep/a%2Fb/c%20d%21", "", order(text="a%2Fb/c d%21")),
    ("GET", "/v1/deep", "", order()),
    ("PATCH", "/v1/shops/a%2Fb%20c%3A/orders/2", "", order(text="shops/a%2Fb c%3A/orders/2")),
    # The query.
    ("GET", "/v1/orders?small=3&big=9007199254740993&flag=true&ratio=1.5", "", order(small=3, big=BIG, flag=True, ratio=1.5)),
    ("GET", "/v1/orders?data=aGk%3D&color=RED", "", order(data=b"hi", color=1)),
    ("GET", "/v1/orders?tags=a&tags=b&numbers=1&numbers=2", "", order(tags=["a", "b"], numbers=[1, 2])),
    ("GET", "/v1/orders?colors=GREEN&colors=1", "", order(colors=[2, 1])),
    ("GET", "/v1/orders?child.text=x&child.child.text=y", "", order(child=order(text="x", child=order(text="y")))),
    ("GET", "/v1/orders?at=2024-01-02T03:04:05Z", "", order(at=known("Timestamp", seconds=1704164645))),
    ("GET", "/v1/orders?times=2024-01-02T03:04:05Z", "", order(times=[known("Timestamp", seconds=1704164645)])),
    ("GET", "/v1/orders?lasts=1.5s", "", order(lasts=known("Duration", seconds=1, nanos=500_000_000))),
    ("GET", "/v1/orders?mask=a,b.c", "", order(mask=known("FieldMask", paths=["a", "b.c"]))),
    ("GET", "/v1/orders?some_text=x&someBig=4", "", order(some_text=known("StringValue", value="x"),
                                                           some_big=known("Int64Value", value=4))),
    ("GET", "/v1/orders?someFlag=true&someData=aGk%3D", "", order(some_flag=known("BoolValue", value=True),
                                                                   some_data=known("BytesValue", value=b"hi"))),
    ("GET", "/v1/orders?value=a", "", order(value=known("Value", string_value="a"))),
    ("GET", "/v1/orders?snakeCaseName=1&snake_case_name=2", "", order(snake_case_name="2")),
    ("GET", "/v1/orders?text=a&text=c", "", order(text="c")),
    ("GET", "/v1/orders?text=a+b", "", order(text="a+b")),
    ("GET", "/v1/orders?text=%C3%B6%26", "", order(text="\u00f6&")),
    ("GET", "/v1/orders?text=%zz", "", order(text="%zz")),
    ("GET", "/v1/orders?text=a=b", "", order(text="a=b")),
    ("GET", "/v1/orders?text", "", order()),
    ("GET", "/v1/orders?=1&&text=a&", "", order(text="a")),
    ("GET", "/v1/orders?maybe=0", "", order(maybe=0)),
    ("GET", "/v1/orders?left=", "", order(left="")),
    ("GET", "/v1/orders?file.contentType=x", "", order(file=type(BODY)(content_type="x"))),
    # The body.
    ("POST", "/v1/orders", '{"text":"t"}', order(child=order(text="t"))),
    ("POST", "/v1/orders", "", order(child=order())),
    ("POST", "/v1/orders", "null", order()),
    ("POST", "/v1/orders?small=4", '{"text":"t"}', order(small=4, child=order(text="t"))),
    ("POST", "/v1/orders?child.small=4&child.text=q", '{"text":"t"}', order(child=order(text="t", small=4))),
    ("POST", "/v1/orders/a:cancel", '{"small":3}', order(text="a", small=3)),
    ("POST", "/v1/orders/a:cancel", "", order(text="a")),
    ("POST", "/v1/orders/a:cancel", ' {"nope":1,"small":1,"small":2} ', order(text="a", small=2)),
    ("PATCH", "/v1/shops/1/orders/2?big=3", '{"small":1}', order(text="shops/1/orders/2", small=1, big=3)),
    ("PUT", "/v1/tags", '["a","b"]', order(tags=["a", "b"])),
    ("PUT", "/v1/children", '[{"text":"a"}]', order(children=[order(text="a")])),
    ("PUT", "/v1/counts", '{"a":1}', order(counts={"a": 1})),
    # Of our own: the path is never overruled, a scalar may be a body, and without `body` there is none.
    ("PATCH", "/v1/shops/1/orders/2", '{"small":1,"text":"other"}', order(text="shops/1/orders/2", small=1)),
    ("PUT", "/v1/small", "5", order(small=5)),
    ("DELETE", "/v1/orders/x", "ignored", order(text="x")),
    ("GET", "/v1/orders/x", '{"small":1}', order(text="x")),
]  # fmt: skip

BAD: list[tuple[str, str, str, str]] = [
    ("GET", "/v1/orders?nope=1", "", "query"),
    ("GET", "/v1/orders?child.nope=1", "", "query"),
    ("GET", "/v1/orders?child=1", "", "query"),
    ("GET", "/v1/orders?children.text=1", "", "query"),
    ("GET", "/v1/orders?counts.a=1", "", "query"),
    ("GET", "/v1/orders?counts=1", "", "query"),
    ("GET", "/v1/orders?free.a=1", "", "query"),
    ("GET", "/v1/orders?list=1", "", "query"),
    ("GET", "/v1/orders?detail=1", "", "query"),
    ("GET", "/v1/orders?text.x=1", "", "query"),
    ("GET", "/v1/orders?at.seconds=1", "", "query"),
    ("GET", "/v1/orders?small=abc", "", "query"),
    ("GET", "/v1/orders?small=", "", "query"),
    ("GET", "/v1/orders?small=99999999999", "", "query"),
    ("GET", "/v1/orders?at=x", "", "query"),
    ("GET", "/v1/orders?left=a&right=2", "", "query"),
    ("GET", "/v1/orders?text=%FF", "", "query"),
    ("GET", "/v1/orders?%FF=1", "", "query"),
    ("GET", "/v1/orders/x?text=y", "", "query"),
    ("GET", "/v1/users/u/orders/o?child.text=y", "", "query"),
    ("GET", "/v1/orders?" + ".".join(["child"] * MAX_NAMES + ["text"]) + "=x", "", "query"),
    ("GET", "/v1/numbers/x/true/RED", "", "path"),
    ("GET", "/v1/times/xyz", "", "path"),
    ("POST", "/v1/orders", "{", "body"),
    ("POST", "/v1/orders", "[]", "body"),
    ("POST", "/v1/orders", "5", "body"),
    ("POST", "/v1/orders", '{"small":"x"}', "body"),
    ("POST", "/v1/orders", "\ud800", "body"),
    ("POST", "/v1/orders/a:cancel", "{} x", "body"),
    ("POST", "/v1/orders/a:cancel", "[]", "body"),
    ("POST", "/v1/orders/a:cancel", "null", "body"),
    ("POST", "/v1/orders/a:cancel", '{"text":5}', "body"),
    ("POST", "/v1/orders/a:cancel", "[" * 5000, "body"),
    ("POST", "/v1/orders/a:cancel", '{"ratio":NaN}', "body"),
    ("PUT", "/v1/tags", '"a"', "body"),
    ("PUT", "/v1/small", '"x"', "body"),
]


class Case(SynchronousTestCase):
    def made(self, method: str, target: str, body: str = "", kind: bytes = b"", **settings: bool) -> Any:
        path, mark, query = target.partition("?")
        rule, captured = fit(method, path)
        requests = Requests(Values(orders().pool), TranscodeSettings(descriptors="x", **settings))
        raw = body.encode("utf-8", "surrogatepass")
        return rule.method.request.FromString(requests.message(rule, captured, query if mark else None, raw, kind))


class MessageTests(Case):
    def test_good(self) -> None:
        for method, target, body, expected in GOOD:
            with self.subTest(method=method, target=target, body=body):
                self.assertEqual(self.made(method, target, body), expected)

    def test_bad(self) -> None:
        for method, target, body, what in BAD:
            with self.subTest(method=method, target=target[:80], body=body[:80]):
                error = self.assertRaises(GatewayError, self.made, method, target, body)
                self.assertEqual(
                    (error.status, error.reason, error.side), (400, f"transcode_bad_{what}", Side.DOWNSTREAM)
                )
                self.assertLessEqual(len(error.detail), 200)

    def test_unknown_parameters_may_be_ignored(self) -> None:
        for query in ("nope=1", "child.nope=1", "detail.x=1", "text=y", "counts.a=1"):
            with self.subTest(query=query):
                found = self.made("GET", f"/v1/orders/x?{query}&small=1", ignore_unknown_query_parameters=True)
                self.assertEqual(found, order(text="x", small=1))
        # But not a value that does not fit.
        for query in ("child=1", "small=x"):
            with self.subTest(query=query):
                self.assertRaises(
                    GatewayError, self.made, "GET", f"/v1/orders?{query}", ignore_unknown_query_parameters=True
                )

    def test_plus(self) -> None:
        found = self.made("GET", "/v1/orders?text=a+b%2Bc&child.text=+", query_param_unescape_plus=True)
        self.assertEqual(found, order(text="a b+c", child=order(text=" ")))

    def test_http_body(self) -> None:
        body = type(BODY)
        found = self.made("POST", "/v1/files/a/b?small=1", "raw {", b"image/x")
        self.assertEqual(found, order(text="a/b", small=1, file=body(content_type="image/x", data=b"raw {")))
        self.assertEqual(self.made("POST", "/v1/raw", "abc"), body(data=b"abc"))
        self.assertEqual(self.made("POST", "/v1/raw", "", b"a/b"), body(content_type="a/b"))
        error = self.assertRaises(GatewayError, self.made, "POST", "/v1/raw", "x", b"a/\xff")
        self.assertEqual(error.reason, "transcode_bad_body")

    @given(
        st.lists(st.sampled_from([*"&=.%+", "text", "child", "small", "tags", "1", "%ff"]), max_size=12).map("".join)
    )
    def test_any_query(self, query: str) -> None:
        try:
            self.made("GET", f"/v1/orders?{query}")
        except GatewayError as error:
            self.assertEqual(error.reason, "transcode_bad_query")

    @given(st.binary(max_size=30))
    def test_any_body(self, body: bytes) -> None:
        rule, captured = fit("POST", "/v1/orders/a:cancel")
        requests = Requests(Values(orders().pool), TranscodeSettings(descriptors="x"))
        try:
            requests.message(rule, captured, None, body, b"")
        except GatewayError as error:
            self.assertEqual(error.reason, "transcode_bad_body")


class UnescapeTests(SynchronousTestCase):
    @given(st.text())
    def test_a_segment_is_what_was_escaped(self, text: str) -> None:
        self.assertEqual(unescape(quote(text, safe="")), text)

    @given(st.text(st.characters(exclude_characters=":/?#[]@!$&'()*+,;=", exclude_categories=["Cs"])))
    def test_segments_are_too_but_for_reserved_characters(self, text: str) -> None:
        self.assertEqual(unescape_path(quote(text, safe="")), text)

    def test_reserved_characters_stay(self) -> None:
        for char in ":/?#[]@!$&'()*+,;=":
            self.assertEqual(unescape_path(f"a%{ord(char):02x}%C3%B6{char}"), f"a%{ord(char):02X}\u00f6{char}")
        for char in string.ascii_letters + '-._~ %"<>':
            self.assertEqual(unescape_path(f"%{ord(char):02X}"), char)
