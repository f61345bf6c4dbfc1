"""Tests of edgegw.middleware.pipeline."""

from __future__ import annotations

from collections.abc import Awaitable

from pydantic import ValidationError

from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.pipeline import MiddlewareUse, Step, fold
from edgegw.testing.exchanges import make_exchange
from tests.middleware.running import Case, Target


class PipelineTests(Case):
    def setUp(self) -> None:
        self.trace: list[str] = []

    def mark(self, name: str) -> Middleware:
        def wrap(following: Responder) -> Responder:
            self.trace.append(f"build {name}")

            async def marked(exchange: Exchange) -> Response:
                self.trace.append(name)
                response = await following(exchange)
                self.trace.append(f"/{name}")
                return response

            return marked

        return wrap

    def step(self, name: str, when: bool | None = None) -> Step:
        return Step(name, self.mark(name), None if when is None else lambda exchange: when)

    def order(self, canonical: list[Step], own: list[Step]) -> str:
        responder = fold(canonical, own, Target(does=lambda _: self.trace.append("target")))
        self.trace.clear()
        self.respond(responder, make_exchange())
        return " ".join(self.trace)

    def test_first_is_outermost(self) -> None:
        made = self.order([self.step("a"), self.step("b")], [self.step("c")])
        self.assertEqual(made, "a b c target /c /b /a")

    def test_a_step_of_the_routes_own_list_moves_there(self) -> None:
        made = self.order([self.step("a"), self.step("b"), self.step("c")], [self.step("x"), self.step("a")])
        self.assertEqual(made, "b c x a target /a /x /c /b")

    def test_the_same_one_twice(self) -> None:
        self.assertEqual(self.order([], [self.step("a"), self.step("a")]), "a a target /a /a")

    def test_when(self) -> None:
        made = self.order([self.step("a", False), self.step("b", True)], [self.step("c", False), self.step("d")])
        self.assertEqual(made, "b d target /d /b")

    def test_when_is_asked_of_each_exchange(self) -> None:
        step = Step("a", self.mark("a"), lambda exchange: exchange.request.method == "POST")
        responder = fold([step], [], Target())
        self.trace.clear()
        for method in ("GET", "POST", "GET"):
            self.respond(responder, make_exchange(method))
        self.assertEqual(self.trace, ["a", "/a"])
        self.assertIn("Conditional", repr(responder))

    def test_nothing(self) -> None:
        target = Target()
        self.assertIs(fold([], [], target), target)

    def test_folded_once(self) -> None:
        responder = fold([self.step("a")], [self.step("b")], Target())
        self.assertEqual(sorted(self.trace), ["build a", "build b"])
        for _ in range(3):
            self.respond(responder, make_exchange())
        self.assertEqual(sum(each.startswith("build") for each in self.trace), 2)

    def test_plain_callables_that_return_awaitables_are_responders(self) -> None:
        class Plain:
            def __init__(self, following: Responder) -> None:
                self.following = following

            def __call__(self, exchange: Exchange) -> Awaitable[Response]:
                return self.following(exchange)

        self.assertEqual(self.respond(fold([Step("plain", Plain)], [], Target()), make_exchange()).status, 200)

    def test_settings(self) -> None:
        use = MiddlewareUse.model_validate({"use": "headers", "with": {"a": 1}})
        self.assertEqual((use.use, use.with_, use.when), ("headers", {"a": 1}, None))
        self.assertRaises(ValidationError, MiddlewareUse.model_validate, {"with": {}})
        self.assertRaises(ValidationError, MiddlewareUse.model_validate, {"use": "x", "whem": {}})
