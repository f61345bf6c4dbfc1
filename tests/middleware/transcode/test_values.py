"""Tests of edgegw.middleware.transcode.values."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.middleware.transcode.values import MAX_DEPTH, BadValue, Values, scalar
from tests.middleware.transcode.apis import order, orders

GOOD: list[tuple[str, Any, Any]] = [
    ("text", "a\u00f6", "a\u00f6"),
    ("text", "", ""),
    ("small", 3, 3),
    ("small", "3", 3),
    ("small", -3.0, -3),
    ("small", "-0", 0),
    ("big", "9007199254740993", 9007199254740993),
    ("huge", "18446744073709551615", 18446744073709551615),
    ("fixed", 4294967295, 4294967295),
    ("zigzag", "-9223372036854775808", -(2**63)),
    ("flag", True, True),
    ("flag", "true", True),
    ("flag", "TRUE", True),
    ("flag", "yes", True),
    ("flag", "1", True),
    ("flag", "f", False),
    ("flag", "0", False),
    ("data", "aGk=", b"hi"),
    ("data", "aGk", b"hi"),
    ("data", "_-8", b"\xff\xef"),
    ("data", "/+8=", b"\xff\xef"),
    ("data", "", b""),
    ("ratio", 1.5, 1.5),
    ("ratio", "1e3", 1000.0),
    ("ratio", ".5", 0.5),
    ("ratio", 3, 3.0),
    ("ratio", "Infinity", math.inf),
    ("single", "-Infinity", -math.inf),
    ("single", 0.5, 0.5),
    ("single", 3.4028234e38, 3.4028234e38),
    ("color", "RED", 1),
    ("color", "2", 2),
    ("color", 2, 2),
    ("color", 7, 7),
]

BAD: list[tuple[str, Any]] = [
    ("text", 5),
    ("text", ["a"]),
    ("small", "abc"),
    ("small", ""),
    ("small", " 1"),
    ("small", "1.0"),
    ("small", "1_000"),
    ("small", "0x1"),
    ("small", "\u0661"),
    ("small", "+1"),
    ("small", "1" * 5000),
    ("small", 1.5),
    ("small", True),
    ("small", 2**31),
    ("small", "99999999999"),
    ("huge", -1),
    ("flag", "maybe"),
    ("flag", 1),
    ("flag", "truely"),
    ("data", "*"),
    ("data", "a"),
    ("data", "aGk===="),
    ("data", "aG k"),
    ("data", 5),
    ("ratio", "inf"),
    ("ratio", "nan"),
    ("ratio", "1e999"),
    ("ratio", "1__0"),
    ("ratio", True),
    ("ratio", ""),
    ("single", 1e39),
    ("single", "1e39"),
    ("color", "red"),
    ("color", "NOPE"),
    ("color", "7"),
    ("color", 1.5),
    ("color", True),
]


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.values = Values(orders().pool)

    def filled(self, document: Any) -> Any:
        message = order()
        self.values.fill(message, document)
        return message


class ScalarTests(Case):
    def test_good(self) -> None:
        for name, value, expected in GOOD:
            with self.subTest(name=name, value=value):
                found = getattr(self.filled({name: value}), name)
                self.assertAlmostEqual(found / expected if name == "single" and math.isfinite(expected) else 1, 1, 6)
                if name != "single":
                    self.assertEqual(found, expected)

    def test_bad(self) -> None:
        for name, value in BAD:
            with self.subTest(name=name, value=value):
                self.assertRaises(BadValue, self.filled, {name: value})

    def test_not_a_number(self) -> None:
        self.assertTrue(math.isnan(self.filled({"ratio": "NaN"}).ratio))

    def test_what_is_shown_of_a_bad_value_is_short(self) -> None:
        field = order().DESCRIPTOR.fields_by_name["small"]
        error = self.assertRaises(BadValue, scalar, field, "x" * 100_000)
        self.assertLess(len(str(error)), 120)

    @given(
        st.one_of(st.text(max_size=8), st.integers(), st.floats(), st.booleans(), st.none(), st.just([]), st.just({}))
    )
    def test_any_value_for_any_field(self, value: Any) -> None:
        values = Values(orders().pool)
        for field in order().DESCRIPTOR.fields:
            try:
                values.fill(order(), {field.json_name: value})
            except BadValue:
                pass


class FillTests(Case):
    def test_as_protobuf_reads_it(self) -> None:
        """Documents that are in order are what protobuf's own reader makes of them."""
        for document in (
            {"at": "2024-01-02T03:04:05.5Z", "lasts": "3.25s", "mask": "a,bC"},
            {"someText": "x", "someBig": "4", "someFlag": False, "someData": "aGk=", "someRatio": 2.5},
            {"free": {"a": [1, None, {"b": True}]}, "value": 3, "list": [1, "x", None]},
            {"value": None},
            {"value": [{"a": None}]},
            {"detail": {"@type": "type.googleapis.com/acme.Failure", "code": 3}},
            {"detail": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}},
            {"counts": {"a": 1, "b": "2"}},
            {"tags": ["a", "b"], "numbers": ["1", 2], "colors": ["RED", 2], "times": ["2024-01-02T03:04:05Z"]},
            {"child": {"child": {"text": "deep"}}, "children": [{"small": 1}, {}]},
            {"left": ""},
            {"right": 0},
            {"maybe": 0},
            {"snakeCaseName": "x"},
            {"snake_case_name": "x"},
            {"text": None, "child": None, "tags": None, "someText": None},
            {"file": {"contentType": "a/b", "data": "aGk="}},
        ):
            with self.subTest(document=document):
                expected = order()
                json_format.ParseDict(document, expected, descriptor_pool=orders().pool)
                self.assertEqual(self.filled(document), expected)

    def test_field_masks(self) -> None:
        for text, paths in (("a,bC.dEF", ["a", "b_c.d_e_f"]), ("snake_case,a.b_c", ["snake_case", "a.b_c"]), ("", [])):
            with self.subTest(text=text):
                self.assertEqual(list(self.filled({"mask": text}).mask.paths), paths)

    def test_unknown_fields_are_passed_over(self) -> None:
        document = {"nope": 1, "text": "x", "child": {"nope": {"a": 1}, "small": 2}, "children": [{"nope": []}]}
        self.assertEqual(self.filled(document), order(text="x", child=order(small=2), children=[order()]))

    def test_but_not_what_enums_do_not_know(self) -> None:
        self.assertRaises(BadValue, self.filled, {"children": [{"color": "NOPE"}]})

    def test_it_merges(self) -> None:
        message = order(text="a", tags=["x"], child=order(text="b", small=1))
        self.values.fill(message, {"tags": ["y"], "child": {"small": 2}})
        self.assertEqual(message, order(text="a", tags=["y"], child=order(text="b", small=2)))

    def test_wrong_shapes(self) -> None:
        for document in (
            [],
            5,
            "x",
            None,
            {"child": "x"},
            {"child": []},
            {"tags": "a"},
            {"tags": {"a": 1}},
            {"tags": [None]},
            {"children": [None]},
            {"children": [5]},
            {"counts": []},
            {"counts": {"a": None}},
            {"counts": {"a": "x"}},
            {"left": "a", "right": 1},
            {"at": "x"},
            {"at": 5},
            {"lasts": "3"},
            {"mask": 5},
            {"someBig": "x"},
            {"someBig": {"value": "3"}},
            {"list": {}},
            {"free": []},
            {"detail": {"@type": "type.googleapis.com/no.Such"}},
            {"detail": {"code": 3}},
            {"detail": "x"},
        ):
            with self.subTest(document=document):
                self.assertRaises(BadValue, self.filled, document)

    def test_depth(self) -> None:
        def nested(depth: int) -> dict[str, Any]:
            document: dict[str, Any] = {}
            for _ in range(depth):
                document = {"child": document}
            return document

        self.filled(nested(MAX_DEPTH - 1))
        self.assertRaises(BadValue, self.filled, nested(MAX_DEPTH))
        deep: Any = None
        for _ in range(2000):
            deep = [deep]
        self.assertRaises(BadValue, self.filled, {"value": deep})
        self.assertRaises(BadValue, self.filled, {"list": deep})

    def test_fields_by_both_names(self) -> None:
        fields = self.values.fields(order().DESCRIPTOR)
        self.assertIs(fields["snake_case_name"], fields["snakeCaseName"])
        self.assertIs(self.values.fields(order().DESCRIPTOR), fields)
