"""Tests of edgegw.upstream.health.build."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.testing.origin import Origin, environment
from edgegw.upstream.health.build import check_settings, health_checks, make_probe
from edgegw.upstream.health.grpc_probe import GrpcProbe
from edgegw.upstream.health.http_probe import HttpProbe
from edgegw.upstream.health.settings import GrpcProbeSettings, HealthSettings
from edgegw.upstream.health.tcp_probe import TcpProbe

HERE = "tests.upstream.health.test_build"


class Mine:
    """A probe of one's own."""

    def __init__(self, environment: Any, mood: str = "good") -> None:
        if mood == "bad":
            raise ValueError("not today\nnor tomorrow")
        self.environment = environment

    async def probe(self, endpoint: Any, timeout_s: float) -> str:
        return "fine"


def nothing(environment: Any) -> None:
    """Makes no probe."""


class BuildTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.environment = environment(Origin())
        self.problems = Problems()

    def make(self, given: Any) -> Any:
        return make_probe(HealthSettings.model_validate(given), self.environment, self.problems.under("health"))

    def told(self) -> list[tuple[Any, str]]:
        return [(problem.loc, problem.message) for problem in self.problems]

    def test_kinds(self) -> None:
        for given, kind in (
            ({}, HttpProbe),
            ("/healthz", HttpProbe),
            ({"tcp": {}}, TcpProbe),
            ({"grpc": {}}, GrpcProbe),
            ({"custom": f"{HERE}:Mine", "with": {"mood": "fair"}}, Mine),
        ):
            self.assertIsInstance(self.make(given), kind)
        self.assertEqual(self.told(), [])

    def test_custom_is_given_what_it_may_work_with(self) -> None:
        self.assertIs(self.make({"custom": f"{HERE}:Mine"}).environment, self.environment)

    def test_wrong(self) -> None:
        for given, loc, words in (
            ({"expect": {"body": {"regex": "("}}}, ("health", "expect", "body", "regex"), "does not compile"),
            ({"custom": "nobody"}, ("health", "custom"), "is not known"),
            ({"custom": f"{HERE}:Mine", "with": {"moot": 1}}, ("health", "with", "moot"), "unknown key"),
            ({"custom": f"{HERE}:Mine", "with": {"mood": "bad"}}, ("health", "custom"), "ValueError: not today"),
            ({"custom": f"{HERE}:nothing"}, ("health", "custom"), "makes a NoneType, which has no method probe"),
        ):
            with self.subTest(given=given):
                self.setUp()
                self.assertIsNone(self.make(given))
                ((found, message),) = self.told()
                self.assertEqual(found, loc)
                self.assertIn(words, message)

    def test_contradictions_with_the_defaults(self) -> None:
        """Maps are merged after they were validated one by one."""
        both = HealthSettings.model_validate("/x").model_copy(update={"grpc": GrpcProbeSettings()})
        check_settings(both, self.problems.under("upstreams", "u", "health"))
        (problem,) = self.problems
        self.assertEqual(problem.loc, ("upstreams", "u", "health"))
        self.assertIn('has "grpc" and "path"', problem.message)
        self.assertIn("defaults.upstream.health", problem.hint or "")
        self.assertIsNone(health_checks("u", both, self.environment, Problems()))

    def test_checks(self) -> None:
        made = health_checks("u", HealthSettings(), self.environment, self.problems)
        self.assertEqual(repr(made), "<HealthChecks of u: 0 endpoints, 0 failing, <Turns 64 free, 0 wait>>")
