"""Typed strings: what is read, how it is written back, and what the messages say."""

import ipaddress
import re
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from edgegw.config.units import (
    FORMATS,
    TYPE_KEY,
    Cidr,
    Duration,
    OptionalDuration,
    Percent,
    Rate,
    Size,
    StatusRange,
    StatusRanges,
    format_duration,
    format_percent,
    format_rate,
    format_size,
    parse_cidr,
    parse_duration,
    parse_optional_duration,
    parse_percent,
    parse_rate,
    parse_size,
    parse_status_ranges,
)


class AllUnits(BaseModel):
    duration: Duration = 0.0
    optional: OptionalDuration = None
    size: Size = 0
    rate: Rate = Rate(1, 1.0)
    percent: Percent = 0.0
    status: StatusRanges = ()
    cidr: Cidr = ipaddress.ip_network("0.0.0.0/0")


class ReadTests(unittest.TestCase):
    def check(self, parse: Any, table: dict[Any, Any]) -> None:
        for text, value in table.items():
            with self.subTest(parse=parse.__name__, text=text):
                self.assertEqual(parse(text), value)

    def test_right(self) -> None:
        self.check(
            parse_duration,
            {"250ms": 0.25, "5s": 5.0, "2m": 120.0, "1h": 3600.0, "1d": 86400.0, "1.5s": 1.5, 0: 0.0, "0": 0.0},
        )
        self.check(parse_optional_duration, {"none": None, None: None, "5s": 5.0})
        self.check(
            parse_size,
            {
                "64KiB": 65536,
                "10MiB": 10 << 20,
                "1GiB": 1 << 30,
                "5kB": 5000,
                "5MB": 5_000_000,
                7: 7,
                "7": 7,
                "1.5KiB": 1536,
            },
        )
        self.check(
            parse_rate,
            {"100/s": Rate(100, 1), "5000/h": Rate(5000, 3600), "10/5m": Rate(10, 300), "1 / d": Rate(1, 86400)},
        )
        self.check(parse_percent, {"50%": 0.5, "0%": 0.0, "100%": 1.0, "12.5 %": 0.125})
        self.check(parse_status_ranges, {"200-299": (StatusRange(200, 299),), 204: (StatusRange(204, 204),)})
        self.assertEqual(parse_status_ranges([200, "300-302"]), (StatusRange(200, 200), StatusRange(300, 302)))
        self.check(
            parse_cidr,
            {
                "10.0.0.0/8": ipaddress.ip_network("10.0.0.0/8"),
                "10.0.0.1": ipaddress.ip_network("10.0.0.1/32"),
                "::1": ipaddress.ip_network("::1/128"),
            },
        )

    def test_wrong_says_what_is_right(self) -> None:
        table: list[tuple[Any, Any, str]] = [
            (parse_duration, 5, "write 5s, not 5"),
            (parse_duration, "5", "write 5s, not 5"),
            (parse_duration, 1.5, "write 1.5s"),
            (parse_duration, "5x", "such as 250ms, 5s"),
            (parse_duration, "-5s", "such as"),
            (parse_duration, True, "not true"),
            (parse_duration, [], "not a list"),
            (parse_optional_duration, "nope", "1d or none"),
            (parse_optional_duration, 5, "or write none"),
            (parse_size, "10 MB/s", "such as 512B"),
            (parse_size, -1, "whole number of bytes"),
            (parse_size, 1.5, "whole number of bytes"),
            (parse_size, "1.0001KiB", "not a whole number of bytes"),
            (parse_rate, 100, "write 100/s, not 100"),
            (parse_rate, "0/s", "lets nothing through"),
            (parse_rate, "100", "such as 100/s"),
            (parse_percent, 0.5, "write 50%, not 0.5"),
            (parse_percent, 50, "write 50%, not 50"),
            (parse_percent, "101%", "from 0% to 100%"),
            (parse_status_ranges, "299-200", "write 200-299"),
            (parse_status_ranges, "2xx", "such as 200-299"),
            (parse_status_ranges, 99, "such as 200-299"),
            (parse_status_ranges, [], "such as"),
            (parse_cidr, "10.0.0.1/8", "write 10.0.0.0/8, not 10.0.0.1/8"),
            (parse_cidr, "10.0.0.0/33", "such as 10.0.0.0/8"),
            (parse_cidr, 10, "not the number 10"),
        ]
        for parse, value, words in table:
            with self.subTest(parse=parse.__name__, value=value), self.assertRaises(ValueError) as caught:
                parse(value)
            self.assertIn(words, str(caught.exception))

    def test_numbers_without_end_are_refused(self) -> None:
        for parse, text in (
            (parse_duration, "9" * 400 + "d"),
            (parse_size, "9" * 400 + "GiB"),
            (parse_rate, "9" * 400 + "/s"),
        ):
            with self.assertRaises(ValueError):
                parse(text)


class WriteTests(unittest.TestCase):
    def test_the_shortest_text_that_says_the_same(self) -> None:
        table = {
            0: 0,
            0.25: "250ms",
            5: "5s",
            1.5: "1.5s",
            60: "60s",
            90: "90s",
            120: "2m",
            3600: "1h",
            5400: "90m",
            86400: "1d",
        }
        for seconds, text in table.items():
            self.assertEqual(format_duration(seconds), text)
        self.assertEqual(format_duration(None), "none")
        self.assertEqual(
            [format_size(size) for size in (0, 100, 65536, 10 << 20, 1 << 30, 1500)],
            [0, 100, "64KiB", "10MiB", "1GiB", 1500],
        )
        self.assertEqual(str(Rate(10, 300)), "10/300s")

    @given(st.integers(0, 10**10))
    def test_durations_and_sizes_come_back(self, number: int) -> None:
        self.assertEqual(parse_duration(format_duration(number / 1000)), number / 1000)
        self.assertEqual(parse_size(format_size(number)), number)

    @given(st.integers(1, 10**6), st.sampled_from([0.5, 1.0, 10.0, 60.0, 3600.0, 86400.0]), st.integers(0, 1000))
    def test_rates_and_shares_come_back(self, count: int, per_s: float, thousandth: int) -> None:
        self.assertEqual(parse_rate(format_rate(Rate(count, per_s))), Rate(count, per_s))
        self.assertEqual(parse_percent(format_percent(thousandth / 1000)), thousandth / 1000)

    def test_a_model_writes_text_and_reads_it_again(self) -> None:
        written = {
            "duration": "250ms",
            "optional": "none",
            "size": "64KiB",
            "rate": "100/s",
            "percent": "50%",
            "status": "200-299, 404",
            "cidr": "10.0.0.0/8",
        }
        made = AllUnits.model_validate(written)
        self.assertEqual(made.model_dump(mode="json"), written)
        self.assertIn(250, made.status[0])

    def test_none_of_them_takes_true(self) -> None:
        for name in AllUnits.model_fields:
            with self.subTest(name=name), self.assertRaises(ValidationError):
                AllUnits.model_validate({name: True})


class SchemaTests(unittest.TestCase):
    def test_every_type_names_itself_and_its_examples_match_its_pattern(self) -> None:
        for name, node in AllUnits.model_json_schema()["properties"].items():
            with self.subTest(name=name):
                self.assertIn(node[TYPE_KEY], FORMATS)
                pattern = node.get("pattern") or node["anyOf"][0]["pattern"]
                for example in node["examples"]:
                    self.assertTrue(re.search(pattern, example))
                    AllUnits.model_validate({name: example})
                self.assertIsNone(re.search(pattern, "nonsense!"))
