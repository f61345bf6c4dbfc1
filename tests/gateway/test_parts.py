"""Steps out of `middleware:` entries. What is told of bad ones is in tests/golden/gateway/middleware.txt."""

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from edgegw.config.problems import Problems
from edgegw.gateway.builtins import Parts
from edgegw.gateway.parts import own_step
from edgegw.middleware.interfaces import Surroundings
from edgegw.middleware.pipeline import MiddlewareUse
from edgegw.runtime.wheel import Wheel
from tests.gateway.case import GatewayCase
from tests.gateway.foreign import POINTS


class OwnStepTests(TestCase):
    def step(self, use: dict[str, Any]) -> tuple[Any, Problems]:
        problems = Problems()
        clock = Clock()
        around = Surroundings(clock, Wheel(clock), None, problems.under("with"))  # type: ignore[arg-type]
        return own_step(MiddlewareUse.model_validate(use), Parts(POINTS), around, problems), problems

    def test_a_step(self) -> None:
        step, problems = self.step({"use": "stamp", "with": {"text": "a"}, "when": {"header": {"X-A": "b"}}})
        self.assertFalse(problems)
        self.assertEqual(step.name, "stamp")
        self.assertIsNotNone(step.when)

    def test_a_bad_condition_and_bad_settings_are_told_together(self) -> None:
        step, problems = self.step({"use": "stamp", "with": {}, "when": {"header": {"X-A": {"regex": "("}}}})
        self.assertIsNone(step)
        self.assertEqual({problem.loc[0] for problem in problems}, {"with", "when"})

    def test_folding_that_fails_is_told(self) -> None:
        step, problems = self.step({"use": "stamp", "with": {"text": "fold"}})
        self.assertFalse(problems)
        inner: Any = object()
        self.assertIs(step.middleware(inner), inner)
        self.assertEqual([problem.loc for problem in problems], [("use",)])


class RunTests(GatewayCase):
    async def test_runs_where_its_condition_holds(self) -> None:
        route = """routes:
  - match: /**
    respond: {status: 200, body: hello}
    middleware: [{use: stamp, with: {text: here}, when: {header: {X-Debug: {present: true}}}}]
"""
        self.patch(Parts, "__init__", _with_points(Parts.__init__))
        self.start(self.config(routes=route))
        client = await self.connect()
        await client.ask()
        await client.ask(fields={"X-Debug": "1"})
        self.assertNotIn(b"x-stamp", client.heads[0].lower())
        self.assertIn(b"x-stamp: here", client.heads[1].lower())


def _with_points(original: Any) -> Any:
    return lambda self, found=None: original(self, POINTS)
