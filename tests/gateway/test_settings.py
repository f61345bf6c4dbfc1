"""The root settings: one model, many faces; and how defaults are filled in."""

import os
import unittest
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from edgegw.config.keys import keys_of
from edgegw.config.model import Settings, diff, explain, reference_markdown, schema, show
from edgegw.config.source import loads
from edgegw.gateway.loading import accept
from edgegw.gateway.settings import GatewaySettings, RouteSettings, merged

GOLDEN = Path(__file__).parent.parent / "golden" / "gateway" / "keys"
BASE = 'edgegw: 1\nlisten: [8080]\nupstreams: {u: {endpoints: ["http://h"]}}\n'


def models(model: type[BaseModel], seen: dict[type[BaseModel], None] | None = None) -> dict[type[BaseModel], None]:
    """Every model below one."""
    seen = {} if seen is None else seen
    if model not in seen:
        seen[model] = None
        for field in model.model_fields.values():
            for each in _inner(field.annotation):
                models(each, seen)
    return seen


def _inner(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in get_args(annotation) for found in _inner(arg)]


def every_key() -> list[str]:
    """Each key of the language, dotted."""
    keys, found = keys_of(GatewaySettings), list[str]()

    def walk(node: Any, path: str, depth: int) -> None:
        for name, child in keys.children(node).items():
            here = f"{path}.{name}" if path else name
            if here not in found and depth < 8:
                found.append(here)
                walk(child, here, depth + 1)

    walk(keys.root, "", 0)
    return found


def settings(text: str) -> GatewaySettings:
    return accept(loads(BASE + text, environ={}), Path("/")).settings


class ModelTests(unittest.TestCase):
    maxDiff = None

    def test_every_key_and_no_other(self) -> None:
        """A key that comes, or goes, is meant to."""
        found = "\n".join(every_key()) + "\n"
        if os.environ.get("EDGEGW_GOLDEN_UPDATE") == "1":
            GOLDEN.write_text(found)
        self.assertEqual(found, GOLDEN.read_text())

    def test_every_key_is_described(self) -> None:
        for model in models(GatewaySettings):
            self.assertTrue(model.__doc__, model)
            for name, field in model.model_fields.items():
                self.assertTrue(field.description, f"{model.__name__}.{name}")
                self.assertRegex(field.description or "", r"[.)]$", f"{model.__name__}.{name}")

    def test_faces(self) -> None:
        """The tools work on it, and each key can be explained."""
        made = schema(GatewaySettings, title="edgegw configuration")
        self.assertEqual(made["required"], ["edgegw", "listen"])
        for key in every_key():
            self.assertIn(f"KEY      {key}", explain(GatewaySettings, key))
        page = reference_markdown(GatewaySettings)
        for key in ("lame_duck", "security_headers", "idle_timeout", "access_log"):
            self.assertIn(key, page)
        document = loads(BASE, environ={})
        shown = show(accept(document, Path("/")).settings, document)
        self.assertIn("lame_duck: 5s  # default", shown)
        self.assertEqual(len(diff(settings("state: a"), settings("state: b"))), 1)


class MergeTests(unittest.TestCase):
    def route(self, defaults: str, own: str = "") -> RouteSettings:
        made = settings(f"defaults: {{{defaults}}}\nroutes: [{{match: /, to: u, {own}}}]\n")
        route: RouteSettings = merged(made.routes[0], made.defaults)
        return route

    def test_single_values(self) -> None:
        self.assertEqual(self.route("body_limit: 1KiB").body_limit, 1024)
        self.assertEqual(self.route("body_limit: 1KiB", "body_limit: 2KiB").body_limit, 2048)
        self.assertEqual(self.route("").body_limit, 10 * 1024 * 1024)

    def test_a_value_equal_to_the_built_in_one_still_wins(self) -> None:
        self.assertEqual(self.route("body_limit: 1KiB", "body_limit: 10MiB").body_limit, 10 * 1024 * 1024)

    def test_timeouts_key_by_key(self) -> None:
        made = self.route("timeout: {head: 1s, total: 5m}", "timeout: {idle: 2s}").timeout
        self.assertEqual((made.head, made.idle, made.total), (1.0, 2.0, 300.0))
        made = self.route("timeout: {head: 1s, total: 5m}", "timeout: {total: none}").timeout
        self.assertEqual((made.head, made.idle, made.total), (1.0, None, "none"))
        self.assertEqual(self.route("timeout: 1s", "timeout: 3s").timeout.head, 3.0)

    def test_headers_field_by_field(self) -> None:
        made = self.route(
            "headers: {response: {set: {X-A: '1', X-B: '1'}, remove: [Server]}, request: {add: {X-C: c}}}",
            "headers: {response: {set: {x-a: '2', X-D: '4'}, remove: [X-Powered-By]}}",
        ).headers
        self.assertEqual(made.response.set, {"X-B": "1", "x-a": "2", "X-D": "4"})
        self.assertEqual(made.response.remove, ("X-Powered-By",), "a list is replaced")
        self.assertEqual(made.request.add, {"X-C": "c"})

    def test_security_headers(self) -> None:
        self.assertIs(self.route("security_headers: false").security_headers, False)
        self.assertIs(self.route("security_headers: {hsts: 0s}", "security_headers: false").security_headers, False)
        made = self.route("security_headers: false", "security_headers: {frame_options: DENY}").security_headers
        assert made
        self.assertEqual((made.frame_options, made.content_type_options), ("DENY", "nosniff"))
        made = self.route("security_headers: {hsts: 0s}", "security_headers: {frame_options: DENY}").security_headers
        assert made
        self.assertEqual((made.frame_options, made.hsts), ("DENY", 0.0))

    def test_middleware_is_replaced(self) -> None:
        own = self.route("middleware: [{use: a}, {use: b}]", "middleware: [{use: c}]").middleware
        self.assertEqual([use.use for use in own], ["c"])
        self.assertEqual([use.use for use in self.route("middleware: [{use: a}]").middleware], ["a"])
        self.assertEqual(self.route("middleware: [{use: a}]", "middleware: []").middleware, ())

    def test_upstreams(self) -> None:
        made = settings("defaults: {upstream: {pool: {max: 5}, timeouts: {connect: 1s}, balance: round_robin}}\n")
        upstream = merged(made.upstreams["u"], made.defaults.upstream)
        self.assertEqual((upstream.pool.max, upstream.pool.idle, upstream.balance.by), (5, 64, "round_robin"))
        self.assertEqual((upstream.timeouts.connect, upstream.timeouts.head), (1.0, 15.0))

    def test_nothing_to_merge_is_the_same_object(self) -> None:
        made = settings("routes: [{match: /, to: u}]")
        self.assertIs(merged(made.routes[0], made.defaults), made.routes[0])

    def test_every_default_is_a_key_of_what_it_is_for(self) -> None:
        """`merged` passes over what it can't place: there must be nothing of that kind."""
        made = settings("")
        fields = set(type(made.defaults).model_fields) - {"upstream"}
        self.assertLessEqual(fields, set(RouteSettings.model_fields))
        self.assertLessEqual(
            set(type(made.defaults.upstream).model_fields), set(type(made.upstreams["u"]).model_fields)
        )
        self.assertTrue(all(issubclass(each, Settings) for each in models(GatewaySettings)))
