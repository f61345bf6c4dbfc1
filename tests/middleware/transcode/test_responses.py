"""Tests of edgegw.middleware.transcode.responses."""

from __future__ import annotations

from typing import Any

import orjson
from google.rpc import error_details_pb2
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.middleware.transcode.responses import Printer, is_raw, parsed, raw
from edgegw.middleware.transcode.rules import Rule
from edgegw.middleware.transcode.settings import TranscodeSettings
from tests.middleware.transcode.apis import fit, message, order, orders

GET = ("GET", "/v1/orders/x")
ZEROS = {
    "text": "", "small": 0, "big": "0", "huge": "0", "flag": False, "data": "", "ratio": 0, "single": 0,
    "color": "COLOR_UNKNOWN", "tags": [], "numbers": [], "colors": [], "children": [], "counts": {}, "snakeCaseName": "",
    "times": [], "fixed": 0, "zigzag": "0",
}  # fmt: skip


def known(name: str, **fields: Any) -> Any:
    """One of protobuf's own messages."""
    return message(f"google.protobuf.{name}", **fields)


class Case(SynchronousTestCase):
    def printed(self, asked: tuple[str, str], answer: Any, **settings: bool) -> Any:
        rule, _ = fit(*asked)
        printer = Printer(TranscodeSettings(descriptors="x", **settings), orders().pool)
        return orjson.loads(printer.of(rule)(answer.SerializeToString()))


class PrinterTests(Case):
    def test_messages(self) -> None:
        detail = known("Any")
        detail.Pack(message("acme.Failure", code=3))
        retry = known("Any")
        retry.Pack(error_details_pb2.RetryInfo())
        for answer, expected in (
            (order(), {}),
            (order(text="\u00f6", small=3, big=9007199254740993, huge=2**64 - 1), {
                "text": "\u00f6", "small": 3, "big": "9007199254740993", "huge": "18446744073709551615"}),
            (order(flag=True, data=b"\xff\xef", ratio=1.5, single=0.1), {
                "flag": True, "data": "/+8=", "ratio": 1.5, "single": 0.1}),
            (order(ratio=float("nan"), single=float("-inf")), {"ratio": "NaN", "single": "-Infinity"}),
            (order(color=1, colors=[2, 7]), {"color": "RED", "colors": ["GREEN", 7]}),
            (order(tags=["a"], numbers=[1], counts={"a": 1}), {"tags": ["a"], "numbers": ["1"], "counts": {"a": 1}}),
            (order(child=order(child=order())), {"child": {"child": {}}}),
            (order(at=known("Timestamp", seconds=1704164645, nanos=500_000_000)), {"at": "2024-01-02T03:04:05.500Z"}),
            (order(lasts=known("Duration", seconds=1, nanos=500_000_000)), {"lasts": "1.500s"}),
            (order(mask=known("FieldMask", paths=["a_b", "c.d"])), {"mask": "aB,c.d"}),
            (order(some_text=known("StringValue"), some_big=known("Int64Value", value=3)), {"someText": "", "someBig": "3"}),
            (order(value=known("Value", null_value=0)), {"value": None}),
            (order(detail=detail), {"detail": {"@type": "type.googleapis.com/acme.Failure", "code": 3}}),
            (order(detail=retry), {"detail": {"@type": "type.googleapis.com/google.rpc.RetryInfo"}}),
            (order(left=""), {"left": ""}),
            (order(maybe=0), {"maybe": 0}),
        ):  # fmt: skip
            with self.subTest(answer=str(answer)):
                self.assertEqual(self.printed(GET, answer), expected)

    def test_field_names(self) -> None:
        found = self.printed(GET, order(snake_case_name="x"), preserve_proto_field_names=True)
        self.assertEqual(found, {"snake_case_name": "x"})

    def test_enums_as_numbers(self) -> None:
        self.assertEqual(self.printed(GET, order(color=1), always_print_enums_as_ints=True), {"color": 1})

    def test_zeros(self) -> None:
        """As Envoy 1.40 prints them: not what has presence, and so not what is absent."""
        self.assertEqual(self.printed(GET, order(), always_print_primitive_fields=True), ZEROS)
        found = self.printed(GET, order(child=order()), always_print_primitive_fields=True)
        self.assertEqual(found, ZEROS | {"child": ZEROS})

    def test_what_cannot_be_json(self) -> None:
        printer = Printer(TranscodeSettings(descriptors="x"), orders().pool)
        bad = [
            order(detail=known("Any", type_url="type.googleapis.com/no.Such", value=b"x")),
            order(at=known("Timestamp", seconds=2**60)),
            order(value=known("Value", number_value=float("nan"))),
            order(mask=known("FieldMask", paths=["aB"])),
        ]
        for answer in bad:
            with self.subTest(answer=str(answer)):
                error = self.assertRaises(GatewayError, printer.document, answer)
                self.assertEqual((error.status, error.reason), (502, "grpc_bad_response"))

    def test_no_message(self) -> None:
        rule, _ = fit(*GET)
        error = self.assertRaises(GatewayError, parsed, rule, b"\xff")
        self.assertEqual((error.status, error.reason), (502, "grpc_bad_response"))


class PartTests(Case):
    """`response_body`."""

    def test_fields(self) -> None:
        for path, there, expected, absent in (
            ("tags", order(tags=["a"], text="x"), ["a"], []),
            ("child", order(child=order(text="x")), {"text": "x"}, {}),
            ("small", order(small=3), 3, 0),
            ("counts", order(counts={"a": 1}), {"a": 1}, {}),
        ):
            for settings in ({}, {"preserve_proto_field_names": True}, {"always_print_primitive_fields": True}):
                with self.subTest(path=path, settings=settings):
                    asked = ("POST", f"/v1/answer/{path}")
                    if "always_print_primitive_fields" not in settings or path != "child":
                        self.assertEqual(self.printed(asked, there, **settings), expected)
                        self.assertEqual(self.printed(asked, order(), **settings), absent)

    def test_defaults_of_every_kind(self) -> None:
        for settings, color in (({}, "COLOR_UNKNOWN"), ({"always_print_enums_as_ints": True}, 0)):
            printer = Printer(TranscodeSettings(descriptors="x", **settings), orders().pool)
            for name, expected in (
                ("text", ""), ("small", 0), ("big", "0"), ("huge", "0"), ("flag", False), ("data", ""), ("ratio", 0.0),
                ("color", color), ("snake_case_name", ""), ("at", "1970-01-01T00:00:00Z"), ("some_big", "0"),
            ):  # fmt: skip
                with self.subTest(name=name, settings=settings):
                    self.assertEqual(printer.field(order(), name), expected)


class RawTests(SynchronousTestCase):
    def test_which_answers_are(self) -> None:
        for asked, expected in (
            (("GET", "/v1/files/a"), True),
            (("POST", "/v1/answer/file"), True),
            (("GET", "/v1/pieces/a"), True),
            (GET, False),
            (("POST", "/v1/answer/tags"), False),
        ):
            with self.subTest(asked=asked):
                self.assertEqual(is_raw(self.rule(*asked)), expected)

    def rule(self, method: str, path: str) -> Rule:
        return fit(method, path)[0]

    def test_content(self) -> None:
        body = message("google.api.HttpBody", content_type="a/b; c=d", data=b"\xff")
        self.assertEqual(raw(self.rule("GET", "/v1/files/a"), body.SerializeToString()), (b"a/b; c=d", b"\xff"))
        answer = order(file=body, text="x").SerializeToString()
        self.assertEqual(raw(self.rule("POST", "/v1/answer/file"), answer), (b"a/b; c=d", b"\xff"))

    def test_a_type_that_no_field_may_be(self) -> None:
        for content_type in ("a\r\nb: c", "a\u00f6", "a\x00"):
            with self.subTest(content_type=content_type):
                body = message("google.api.HttpBody", content_type=content_type).SerializeToString()
                self.assertRaises(GatewayError, raw, self.rule("GET", "/v1/files/a"), body)
