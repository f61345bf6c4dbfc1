"""Tests of edgegw.middleware.transcode.rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.middleware.transcode.descriptors import load
from edgegw.middleware.transcode.rules import Rule, Rules, compile_rules
from edgegw.middleware.transcode.template import Template, parse
from tests.middleware.transcode.apis import orders, rules, small_api

# Method, path -> name of the RPC and what its variables capture, or None: no rule. Envoy 1.40 finds the same.
FOUND: list[tuple[str, str, str, list[str]] | tuple[str, str, None]] = [
    ("GET", "/v1/orders", "List", []),
    ("GET", "/v1/orders/", "List", []),
    ("GET", "/v1/orders/7", "Get", ["7"]),
    ("GET", "/v1/orders/a%20b", "Get", ["a%20b"]),
    ("GET", "/v1/orders/a:b", "Get", ["a:b"]),
    ("GET", "/v1/orders/a;b", "Get", ["a;b"]),
    ("GET", "/v1/orders/latest", "Latest", []),
    ("PUT", "/v1/orders/latest", "Replace", ["latest"]),
    ("DELETE", "/v1/orders/7", "Delete", ["7"]),
    ("GET", "/v1/users/u/orders/o", "Get", ["u", "o"]),
    ("PATCH", "/v1/shops/1/orders/2", "Update", ["shops/1/orders/2"]),
    ("POST", "/v1/orders/a:cancel", "Cancel", ["a"]),
    ("POST", "/v1/deep/a/b:cancel", "Cancel", ["deep/a/b"]),
    ("POST", "/v1/deep:cancel", "Cancel", ["deep"]),
    ("GET", "/v1/orders:watch", "Watch", []),
    ("GET", "/v1/deep/a/b/c", "Deep", ["a/b/c"]),
    ("GET", "/v1/deep/a/", "Deep", ["a"]),
    ("GET", "/v1/deep", "Deep", [""]),
    ("GET", "/v1/any/x", "Any", ["x"]),
    ("BREW", "/v1/any/x", "Any", ["x"]),
    ("REPORT", "/v1/report", "Any", []),
    ("GET", "/v1/report", None),
    ("HEAD", "/v1/orders/7", None),
    ("GET", "/v1/orders/7/8", None),
    ("GET", "/v1/orders/a:cancel", None),
    ("POST", "/v1/orders/:cancel", None),
    ("POST", "/v1/orders/a:unknown", None),
    ("GET", "/v1", None),
    ("GET", "/", None),
    ("OPTIONS", "*", None),
    ("POST", "/acme.Orders/Get", None),
]


class FindTests(SynchronousTestCase):
    def test_table(self) -> None:
        for method, path, name, *captured in FOUND:
            with self.subTest(method=method, path=path):
                found = rules().find(method, path)
                if name is None:
                    self.assertIsNone(found)
                else:
                    assert found is not None
                    self.assertEqual((found[0].method.name, [found[1]]), (f"acme.Orders.{name}", captured))

    def test_other_branches_are_tried(self) -> None:
        """A literal that leads nowhere does not hide a `*`, nor that a `**`."""
        mine = Rules()
        for text in ("/a/b/c", "/a/*/d", "/a/**"):
            mine.add("GET", parse(text), _rule(text))
        self.assertEqual([_name(mine, f"/a/{rest}") for rest in ("b/c", "b/d", "b/e", "x/d", "x", "")],
                         ["/a/b/c", "/a/*/d", "/a/**", "/a/*/d", "/a/**", "/a/**"])  # fmt: skip

    def test_method_decides_among_branches(self) -> None:
        mine = Rules()
        mine.add("POST", parse("/a/b"), _rule("literal"))
        mine.add("*", parse("/a/*"), _rule("any"))
        mine.add("GET", parse("/a/*"), _rule("get"))
        self.assertEqual([_name(mine, "/a/b", method) for method in ("POST", "GET", "PUT")], ["literal", "get", "any"])

    def test_the_second_of_a_kind_is_told(self) -> None:
        mine, first = Rules(), _rule("first")
        self.assertIsNone(mine.add("GET", parse("/a/{text}"), first))
        self.assertIs(mine.add("GET", parse("/a/*"), _rule("second")), first)
        self.assertIsNone(mine.add("GET", parse("/a/**"), _rule("third")))
        self.assertEqual(repr(mine), "<Rules 2>")

    @given(
        st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4),
        st.booleans(),
        st.lists(st.sampled_from(["a", "b", "c"]), max_size=6),
    )
    def test_one_template_against_the_definition(self, segments: list[str], deep: bool, path: list[str]) -> None:
        """`*` is one segment, `**` any number at the end, everything else itself."""
        text = "/" + "/".join([*segments, "**"] if deep else segments)
        mine = Rules()
        mine.add("GET", parse(text), _rule(text))
        long_enough = len(path) >= len(segments) if deep else len(path) == len(segments)
        fits = long_enough and all(want in ("*", has) for want, has in zip(segments, path, strict=False))
        self.assertEqual(mine.find("GET", "/" + "/".join(path)) is not None, fits)

    @given(st.lists(st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3), min_size=1, max_size=8))
    def test_the_most_specific_of_many(self, templates: list[list[str]]) -> None:
        """Among the templates that fit, segment by segment from the left, the literal one goes first."""
        mine = Rules()
        texts = {"/" + "/".join(segments) for segments in templates}
        for text in texts:
            mine.add("GET", parse(text), _rule(text))
        for path in (["a"], ["b", "a"], ["a", "b", "a"]):
            fitting = [
                text for text in texts
                if len(text.split("/")[1:]) == len(path)
                and all(want in ("*", has) for want, has in zip(text.split("/")[1:], path, strict=True))
            ]  # fmt: skip
            best = min(fitting, key=lambda text: [part == "*" for part in text.split("/")[1:]], default=None)
            self.assertEqual(_name(mine, "/" + "/".join(path)), best)

    def test_the_whole_server_is_no_path(self) -> None:
        mine = Rules()
        mine.add("OPTIONS", parse("/**"), _rule("all"))
        self.assertEqual((_name(mine, "*", "OPTIONS"), _name(mine, "/", "OPTIONS")), (None, "all"))

    @given(st.text(st.sampled_from("/:*%acnl"), max_size=30))
    def test_any_path(self, path: str) -> None:
        for method in ("GET", "POST"):
            rules().find(method, "/" + path)


def _rule(name: str) -> Rule:
    template: Template = parse("/x")
    return Rule(orders().services["acme.Orders"][0], template.variables, name, "", frozenset())


def _name(mine: Rules, path: str, method: str = "GET") -> str | None:
    found = mine.find(method, path)
    return None if found is None else found[0].body


class CompileTests(SynchronousTestCase):
    def compile(
        self, *patterns: dict[str, Any], services: tuple[str, ...] = (), **options: Any
    ) -> tuple[Rules, Problems]:
        path = Path(self.mktemp())
        path.write_bytes(small_api(*patterns, **options).SerializeToString())
        problems = Problems()
        api = load(path, problems)
        assert api is not None, list(problems)
        return compile_rules(api, services, problems), problems

    def said(self, *patterns: dict[str, Any], **options: Any) -> list[str]:
        return [problem.message for problem in self.compile(*patterns, **options)[1]]

    def test_every_kind_of_pattern(self) -> None:
        patterns: list[dict[str, Any]] = [{kind: f"/{kind}"} for kind in ("get", "put", "post", "delete", "patch")]
        compiled, problems = self.compile(*patterns, {"custom": ("REPORT", "/custom")})
        self.assertEqual(list(problems), [])
        for kind in ("get", "put", "post", "delete", "patch"):
            self.assertIsNotNone(compiled.find(kind.upper(), f"/{kind}"), kind)
        self.assertIsNotNone(compiled.find("REPORT", "/custom"))

    def test_additional_bindings(self) -> None:
        compiled, problems = self.compile(
            {"get": "/a", "additional_bindings": [{"get": "/b"}, {"post": "/c", "body": "*"}]}
        )
        self.assertEqual((list(problems), compiled.count), ([], 3))
        found = compiled.find("POST", "/c")
        assert found is not None
        self.assertEqual(found[0].body, "*")

    def test_what_a_rule_can_get_wrong(self) -> None:
        path = 'small.Api.M0: the path "{}" of its google.api.http rule '
        text = "which is not a field of small.In that text can be"
        field = "of its google.api.http rule is not a field of small."
        for pattern, message in (
            ({"get": "/a/{nope}"}, f'{path.format("/a/{nope}")}binds "nope", {text}'),
            ({"get": "/a/{many}"}, f'{path.format("/a/{many}")}binds "many", {text}'),
            ({"get": "/a/{inner}"}, f'{path.format("/a/{inner}")}binds "inner", {text}'),
            ({"get": "/a/{text.x}"}, f'{path.format("/a/{text.x}")}binds "text.x", {text}'),
            ({"get": "a"}, path.format("a") + "does not start with `/`"),
            ({"post": "/a", "body": "nope"}, f'small.Api.M0: the body "nope" {field}In'),
            ({"get": "/a", "response_body": "nope"}, f'small.Api.M0: the response_body "nope" {field}Out'),
            ({"body": "*"}, "small.Api.M0: its google.api.http rule has no path"),
        ):
            with self.subTest(pattern=pattern):
                self.assertEqual(self.said(pattern), [message])

    def test_all_in_one_run(self) -> None:
        said = self.said({"get": "/a/{nope}"}, {"post": "b"}, {"get": "/ok"}, services=("small.Nope", "small.Api"))
        self.assertEqual(len(said), 3)

    def test_a_nested_field_may_be_bound(self) -> None:
        self.assertEqual(self.said({"get": "/a/{inner.inner.text}/{number}"}), [])

    def test_clashing_rules(self) -> None:
        said = self.said({"get": "/a/{text}"}, {"get": "/a/{number}"}, {"post": "/a/{number}"})
        self.assertEqual(
            said, ['small.Api.M1: the path "/a/{number}" of its google.api.http rule is that of small.Api.M0 too (GET)']
        )

    def test_services(self) -> None:
        _, problems = self.compile({"get": "/a"}, services=("small.Api", "small.Nope"))
        (problem,) = problems
        self.assertEqual((problem.loc, problem.hint), (("services", 1), "there is small.Api"))
        self.assertEqual(problem.message, 'there is no service "small.Nope"')

    def test_no_rules(self) -> None:
        self.assertEqual(self.said({}), ["no method has a google.api.http rule, so there is nothing to transcode"])
        self.assertEqual(self.said({}, services=("small.Api",)), ["no method of small.Api has a google.api.http rule"])

    def test_a_stream_of_requests_is_a_warning(self) -> None:
        compiled, problems = self.compile({"post": "/a", "body": "*"}, client_streaming=True)
        (problem,) = problems
        self.assertEqual((problem.severity, compiled.count), ("warning", 1))
        self.assertIn("small.Api.M0 takes a stream", problem.message)

    def test_all_services_but_those_without_rules(self) -> None:
        problems = Problems()
        compile_rules(orders(), (), problems)
        self.assertEqual([problem.severity for problem in problems], ["warning"])
