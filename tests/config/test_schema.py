"""The JSON Schema: draft-07, complete, defaults as people write them."""

import json
import unittest
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.schema import schema
from edgegw.config.units import Cidr, Duration, Rate, StatusRange, StatusRanges
from tests.config.sample import Config


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key not in ("default", "examples"):
                yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


class Defaults(Settings):
    rate: Rate = Rate(5, 60)
    idle: Duration = 90.0
    codes: StatusRanges = (StatusRange(200, 299),)
    near: tuple[Cidr, ...] = ()
    reserved: str = Field("x", alias="from")


class SchemaTests(unittest.TestCase):
    def setUp(self) -> None:
        self.schema = schema(Config)

    def test_it_is_draft_07_and_plain_json(self) -> None:
        self.assertEqual(self.schema["$schema"], "http://json-schema.org/draft-07/schema#")
        self.assertIn("$id", self.schema)
        self.assertIn("title", self.schema)
        json.dumps(self.schema)
        for node in nodes(self.schema):
            self.assertNotIn("$defs", node)
            self.assertNotIn("prefixItems", node)
            if "$ref" in node:
                self.assertEqual(list(node), ["$ref"], "what stands beside a $ref does not count in draft-07")
                self.assertIn(node["$ref"].removeprefix("#/definitions/"), self.schema["definitions"])

    def test_maps_are_closed_and_every_key_is_described(self) -> None:
        for node in nodes(self.schema):
            if "properties" in node and node.get("type") == "object":
                self.assertIs(node["additionalProperties"], False)
                for key, value in node["properties"].items():
                    self.assertIn("description", value, key)

    def test_defaults_are_written_as_people_write_them(self) -> None:
        properties = schema(Defaults)["properties"]
        self.assertEqual({key: node["default"] for key, node in properties.items()}, {
            "rate": "5/m", "idle": "90s", "codes": "200-299", "near": [], "from": "x",
        })  # fmt: skip

    def test_short_forms_and_variables_are_let_through(self) -> None:
        kinds = [node.get("type") for node in self.schema["definitions"]["Timeout"]["anyOf"]]
        self.assertEqual(kinds, ["string", "object"])
        port = self.schema["definitions"]["Listen"]["properties"]["port"]
        self.assertIn({"$ref": "#/definitions/elsewhere"}, port["anyOf"])

    def test_it_is_made_anew_each_time(self) -> None:
        self.schema["properties"].clear()
        self.assertTrue(schema(Config)["properties"])
