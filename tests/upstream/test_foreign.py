"""Tests of edgegw.upstream.foreign."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.upstream.foreign import PlugPoint, check_options, find_factory, told

HERE = "tests.upstream.test_foreign"
PROBES = PlugPoint("health probe", "edgegw.health_probes", given=1)
BALANCERS = PlugPoint("balancer", "edgegw.balancers", given=2)


class Disk:
    """What a third party would write."""

    def __init__(self, environment: Any, path: str, spare: int = 1) -> None:
        self.path = path

    async def probe(self, endpoint: Any, timeout_s: float) -> str:
        return self.path


NOT_CALLABLE = 7


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, PROBES.group)


class FindTests(SynchronousTestCase):
    def find(self, name: str, *points: EntryPoint) -> Any:
        self.problems = Problems()
        return find_factory(PROBES, name, self.problems, points)

    def told(self) -> list[tuple[str, str | None]]:
        return [(problem.message, problem.hint) for problem in self.problems]

    def test_dotted(self) -> None:
        self.assertIs(self.find(f"{HERE}:Disk"), Disk)
        self.assertEqual(self.told(), [])

    def test_entry_point(self) -> None:
        self.assertIs(self.find("disk", point("disk", f"{HERE}:Disk"), point("disk", f"{HERE}:Disk")), Disk)

    def test_unknown(self) -> None:
        self.assertIsNone(self.find("dusk", point("disk", f"{HERE}:Disk"), point("tape", f"{HERE}:Disk")))
        self.assertEqual(
            self.told(), [('the health probe "dusk" is not known; known: disk, tape', 'did you mean "disk"?')]
        )
        self.find("x")
        ((message, hint),) = self.told()
        self.assertIn("no package brings any", message)
        self.assertIn("package.module:factory", hint or "")

    def test_cannot_be_used(self) -> None:
        for name, words in (
            (f"{HERE}:NOT_CALLABLE", "is of type int, which cannot be called"),
            (f"{HERE}:Missing", "cannot be imported: AttributeError"),
            ("no.such.module:thing", "cannot be imported: ModuleNotFoundError"),
        ):
            self.assertIsNone(self.find(name))
            self.assertIn(words, self.told()[0][0])
            self.assertEqual(next(iter(self.problems)).loc, ("custom",))
        self.assertIsNone(self.find("disk", point("disk", "a:b"), point("disk", "c:d")))
        self.assertIn("a:b and c:d both bring", self.told()[0][0])


class OptionTests(SynchronousTestCase):
    point = PROBES

    def check(self, factory: Any, **given: Any) -> list[tuple[Any, str, str | None]]:
        problems = Problems()
        good = check_options(self.point, factory, "disk", given, problems)
        self.assertEqual(good, not problems.errors)
        return [(problem.loc, problem.message, problem.hint) for problem in problems]

    def test_right(self) -> None:
        self.assertEqual(self.check(Disk, path="/x"), [])
        self.assertEqual(self.check(Disk, path="/x", spare=2), [])
        self.assertEqual(self.check(lambda environment, **anything: None, path="/x"), [])

    def test_wrong(self) -> None:
        self.assertEqual(
            self.check(Disk, path="/x", spar=1),
            [(("with", "spar"), 'unknown key "spar" of the health probe "disk"', 'did you mean "spare"?')],
        )
        self.assertEqual(
            self.check(Disk), [(("custom",), 'the health probe "disk" needs the key "path" in "with"', None)]
        )
        self.assertEqual(self.check(lambda environment: None, x=1)[0][2], "known here: no keys")

    def test_what_the_gateway_gives_is_not_asked_for(self) -> None:
        self.point = BALANCERS
        self.assertEqual(self.check(lambda members, environment, path: None, path="/x"), [])
        self.assertEqual(self.check(lambda *given, **anything: None, path="/x"), [])
        self.assertEqual(self.check(lambda *given, path: None, path="/x"), [])
        ((loc, message, hint),) = self.check(lambda members, environment, path="/": None, members=1)
        self.assertEqual((loc, hint), (("with", "members"), "known here: path"))
        self.assertIn('unknown key "members" of the balancer "disk"', message)
        ((loc, message, _),) = self.check(lambda *given, path: None)
        self.assertEqual((loc, message), (("custom",), 'the balancer "disk" needs the key "path" in "with"'))

    def test_code_that_does_not_say_what_it_takes(self) -> None:
        self.assertEqual(self.check(dict, anything=1), [])


class ToldTests(SynchronousTestCase):
    def test_in_one_line(self) -> None:
        self.assertEqual(told(ValueError("one\ntwo")), "ValueError: one")
        self.assertEqual(told(SystemExit()), "SystemExit")
