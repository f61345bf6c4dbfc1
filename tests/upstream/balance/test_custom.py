"""Tests of edgegw.upstream.balance.custom: what others bring, and what becomes of exchanges when it fails."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from pathlib import Path
from sys import modules
from types import ModuleType
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange
from edgegw.testing import origin
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import Origin, cluster, environment
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.balance.custom import CustomBalancer, CustomBuilder, check_settings, custom_balancer
from edgegw.upstream.balance.interfaces import Balancer, Succeeding, observers_of
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.standing import Hold
from tests.upstream.balance.balancing import EXCHANGE, endpoints

HERE = "tests.upstream.balance.test_custom"


class First:
    """What a third party would write: the first one, or whoever `whim` says. It sorts what it is given, as it may."""

    made: list[First] = []
    broken: set[str] = set()

    def __init__(self, members: list[Endpoint], environment: Any, whim: str = "first", least: int = 0) -> None:
        if len(members) < least:
            raise IndexError(f"{len(members)} of {least}\nmore of it")
        if "factory" in self.broken:
            raise SystemExit(3)
        self.given, self.environment, self.whim = list(members), environment, whim
        self.eligible: list[Endpoint] = []
        self.log: list[str] = []
        members.sort(key=id)
        self.made.append(self)

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        self._call("allow")
        self.eligible = list(eligible)

    def reweigh(self, endpoint: Endpoint) -> None:
        self._call("reweigh")

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Any:
        self._call("choose")
        return {"first": next(iter(self.eligible), None), "text": "a", "any": self.given[0], "list": []}[self.whim]

    def _call(self, name: str) -> None:
        self.log.append(name)
        if name in self.broken:
            raise ValueError(f"{name} is broken")


class Learning(First):
    """It learns, and it goes on where another one was."""

    before: Any = None

    @property
    def observer(self) -> Any:
        self._call("observer")
        return self

    def succeed(self, before: Balancer) -> None:
        self._call("succeed")
        self.before = before

    def answered(self, endpoint: Endpoint, status: int, took_s: float) -> None:
        self._call("answered")

    def failed(self, endpoint: Endpoint, error: GatewayError) -> None:
        self._call("failed")


def nothing(members: Any, environment: Any) -> None:
    """Makes no balancer."""


def half(members: Any, environment: Any) -> Any:
    return type("Half", (), {"allow": len, "reweigh": len})()


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        First.made, First.broken = [], set()
        self.environment = environment(Origin())
        self.problems = Problems()

    def builder(self, name: str = "First", **options: Any) -> CustomBuilder | None:
        return custom_balancer(f"{HERE}:{name}", options, self.environment, self.problems.under("balance"))

    def build(self, members: Sequence[Endpoint], name: str = "First", **options: Any) -> CustomBalancer:
        builder = self.builder(name, **options)
        assert builder is not None, list(self.problems)
        made = builder(members, BalanceSettings(), self.environment)
        assert isinstance(made, CustomBalancer)
        made.allow(members)
        return made

    def told(self) -> list[tuple[Any, str]]:
        return [(problem.loc, problem.message) for problem in self.problems]


class LoadTests(Case):
    def test_it_is_given_what_it_may_work_with(self) -> None:
        members = endpoints(1, 2)
        self.build(members, whim="any")
        checked, made = First.made
        self.assertEqual((checked.given, made.given, made.whim), ([], list(members), "any"))
        self.assertIs(made.environment, self.environment)
        self.assertEqual(self.told(), [])

    def test_wrong(self) -> None:
        for name, options, loc, words in (
            ("Missing", {}, "custom", "cannot be imported: AttributeError"),
            ("HERE", {}, "custom", "is of type str, which cannot be called"),
            ("First", {"whin": 1}, ("with", "whin"), 'unknown key "whin" of the balancer'),
            ("First", {"least": 1}, "custom", "cannot be built for no endpoints: IndexError: 0 of 1"),
            ("First", {"least": "x"}, "custom", "cannot be built for no endpoints: TypeError"),
            ("nothing", {}, "custom", "makes a NoneType, which has no method allow"),
            ("half", {}, "custom", "makes a Half, which has no method choose"),
        ):
            with self.subTest(name=name, options=options):
                self.setUp()
                self.assertIsNone(self.builder(name, **options))
                ((found, message),) = self.told()
                self.assertEqual(found, ("balance", *(loc if isinstance(loc, tuple) else (loc,))))
                self.assertIn(words, message)
                self.assertNotIn("\n", message)

    def test_unknown_name(self) -> None:
        self.assertIsNone(custom_balancer("nobodys", {}, self.environment, self.problems))
        self.assertEqual(self.told(), [(("custom",), 'the balancer "nobodys" is not known; no package brings any')])

    def test_an_observer_that_cannot_be_had(self) -> None:
        First.broken = {"observer"}
        self.assertIsNone(self.builder("Learning"))
        self.assertIn("ValueError: observer is broken", self.told()[0][1])

    def test_for_the_members_there_are(self) -> None:
        builder = self.builder()
        assert builder is not None
        First.broken = {"factory"}
        self.assertFalse(builder.check(endpoints(1), self.environment, self.problems))
        self.assertEqual(
            self.told(), [(("custom",), f'the balancer "{HERE}:First" cannot be built for 1 endpoint: SystemExit: 3')]
        )

    def test_contradictions_with_the_defaults(self) -> None:
        both = BalanceSettings.model_validate({"custom": "x"}).model_copy(update={"by": "random"})
        self.assertFalse(check_settings(both, self.problems.under("balance")))
        (problem,) = self.problems
        self.assertEqual(problem.loc, ("balance",))
        self.assertIn('has "custom" and "by"', problem.message)
        self.assertIn("defaults.upstream.balance", problem.hint or "")
        self.assertTrue(check_settings(BalanceSettings.model_validate({"custom": "x"}), self.problems))


class ChoiceTests(Case):
    def test_it_chooses_among_those_that_may_be_chosen(self) -> None:
        members = endpoints(1, 1, 1)
        balancer = self.build(members)
        self.assertIs(balancer.choose(EXCHANGE, ()), members[0])
        balancer.allow(members[1:])
        self.assertIs(balancer.choose(EXCHANGE, ()), members[1])
        asked = len(First.made[-1].log)
        balancer.allow(())
        self.assertIsNone(balancer.choose(EXCHANGE, ()))
        self.assertEqual(First.made[-1].log[asked:], ["allow"], "it is not asked when there is nobody")
        self.assertIn("of 0", repr(balancer))

    def test_nobody_else_gets_through(self) -> None:
        members = endpoints(1, 1)
        for whim, words in (("any", "may not be chosen now"), ("text", "chose a str"), ("list", "chose a list")):
            balancer = self.build(members, whim=whim)
            balancer.allow(members[1:])
            with self.assertRaises(RuntimeError) as caught:
                balancer.choose(EXCHANGE, ())
            self.assertIn(words, str(caught.exception))

    def test_what_it_raises_means_nothing_to_callers(self) -> None:
        balancer = self.build(endpoints(1))
        mine = First.made[-1]
        for error in (ValueError("no"), SystemExit(1), CancelledError()):
            mine.choose = lambda exchange, tried, error=error: self._raise(error)  # type: ignore[method-assign]
            with self.assertRaises(RuntimeError) as caught:
                balancer.choose(EXCHANGE, ())
            self.assertIs(caught.exception.__cause__, error)
        refusal = GatewayError(503, "no_endpoint")
        mine.choose = lambda exchange, tried: self._raise(refusal)  # type: ignore[method-assign]
        with self.assertRaises(GatewayError) as refused:
            balancer.choose(EXCHANGE, ())
        self.assertIs(refused.exception, refusal)

    @staticmethod
    def _raise(error: BaseException) -> Any:
        raise error

    def test_failures_beside_choices_are_logged_once(self) -> None:
        members = endpoints(1, 1)
        balancer = self.build(members, "Learning")
        First.broken = {"allow", "reweigh", "answered", "failed", "succeed"}
        (observer,) = observers_of(balancer)
        balancer.succeed(self.build(members, "First"))
        for _ in range(3):
            balancer.allow(members)
            balancer.reweigh(members[0])
            observer.answered(members[0], 200, 0.1)
            observer.failed(members[0], GatewayError(502, "x"))
        # One `allow` is that of the other one.
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 6)
        self.assertIs(balancer.choose(EXCHANGE, ()), members[0], "by what it was told before")

    def test_only_those_that_learn_are_told_of_attempts(self) -> None:
        self.assertEqual(observers_of(self.build(endpoints(1))), ())
        self.assertEqual(len(observers_of(self.build(endpoints(1), "Learning"))), 1)

    def test_who_wants_to_know_how_answers_end_is_told(self) -> None:
        members, heard = endpoints(1), []
        (observer,) = observers_of(self.build(members, "Learning"))
        observer.ended(members[0], 200, 503, 1.0)
        made: Any = First.made[-1]
        made.ended = lambda *given: heard.append(given)
        observer.ended(members[0], 200, 503, 1.0)
        self.assertEqual(heard, [(members[0], 200, 503, 1.0)])


class SuccessionTests(Case):
    def test_it_succeeds_what_others_wrote_and_not_what_stands_around_it(self) -> None:
        members = endpoints(1, 1)
        before, after = self.build(members), self.build(members, "Learning")
        self.assertIsInstance(after, Succeeding)
        after.succeed(before)
        former = next(each for each in reversed(First.made) if type(each) is First and each.given)
        self.assertIs(First.made[-1].before, former)  # type: ignore[attr-defined]
        before.succeed(after)

    def test_the_former_one_goes_on_with_those_it_knows(self) -> None:
        a, b, c = endpoints(1, 1, 1)
        builder = self.builder()
        assert builder is not None
        before = builder([a, b], BalanceSettings(), self.environment)
        before.allow([a, b])
        First.broken = {"factory"}
        after = builder([c, b], BalanceSettings(), self.environment)
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)
        self.assertIn("not built", repr(after))
        after.succeed(before)  # type: ignore[attr-defined]
        after.allow([c, b])
        self.assertIs(after.choose(EXCHANGE, ()), b)
        after.reweigh(c)
        after.reweigh(b)
        self.assertEqual(First.made[-1].log.count("reweigh"), 1)
        after.allow([c])
        self.assertIsNone(after.choose(EXCHANGE, ()))
        self.assertEqual(First.made[-1].log.count("choose"), 1, "it is not asked when none of its own is left")

    def test_without_a_former_one_nobody_is_chosen(self) -> None:
        builder = self.builder()
        assert builder is not None
        First.broken = {"factory"}
        made = builder(endpoints(1), BalanceSettings(), self.environment)
        self.flushLoggedErrors(SystemExit)
        made.allow(endpoints(1))
        made.reweigh(endpoints(1)[0])
        self.assertIsNone(made.choose(EXCHANGE, ()))


class ClusterTests(Case):
    def test_in_an_upstream(self) -> None:
        builder = self.builder()
        assert builder is not None
        self.patch(origin, "BALANCERS", {"weighted_round_robin": builder})
        made = cluster(Origin(), Origin(), balance=BalanceSettings.model_validate({"custom": "first"}))
        selection, (a, b) = made.selection(), made.endpoints
        self.assertIs(selection.choose(make_exchange()), a)
        a.hold(Hold.EJECTED, "for a test")
        self.assertIs(selection.choose(make_exchange()), b)
        a.release(Hold.EJECTED)
        First.broken = {"factory"}
        made.update("found", [Named(EndpointSettings(url="http://origin-1:81"))])
        for _ in range(3):
            self.assertIs(selection.choose(make_exchange()), a, "the former one serves")
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)
        First.broken = set()
        made.update("found", [])
        made.update("config", [Named(each) for each in made.settings.endpoints[1:]])
        self.assertIs(selection.choose(make_exchange()), b, "members changed, and it could be built again")


class DocumentedTests(Case):
    """The example of docs/how-to/load-balancing.md runs as it stands there."""

    def setUp(self) -> None:
        super().setUp()
        text = (Path(__file__).parents[3] / "docs" / "how-to" / "load-balancing.md").read_text()
        (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        module = ModuleType("documented_balancers")
        exec(code, module.__dict__)
        modules[module.__name__] = module
        self.addCleanup(modules.pop, module.__name__)

    def test_whoever_has_the_most_room(self) -> None:
        there = self.problems.under("balance")
        builder = custom_balancer("documented_balancers:Spare", {"usual": 3}, self.environment, there)
        assert builder is not None, list(self.problems)
        a, b = members = endpoints(1, 1)
        b.meta = {"slots": "4"}
        balancer = builder(members, BalanceSettings(), self.environment)
        balancer.allow(members)
        balancer.reweigh(a)
        self.assertIs(balancer.choose(EXCHANGE, ()), b)
        self.assertIs(balancer.choose(EXCHANGE, (b,)), a)
        self.assertIs(balancer.choose(EXCHANGE, (a, b)), b)
        b.in_flight = 2
        self.assertIs(balancer.choose(EXCHANGE, ()), a)
        balancer.allow([b])
        self.assertIs(balancer.choose(EXCHANGE, (b,)), b)
        self.assertIsNone(custom_balancer("documented_balancers:Spare", {"usal": 3}, self.environment, there))
        self.assertEqual([problem.hint for problem in self.problems], ['did you mean "usual"?'])
