"""Which endpoints there are, by who says so."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.names import CONFIG, Names


def named(number: int, weight: int = 1) -> Named:
    return Named(EndpointSettings(url=f"http://10.0.0.{number}:80", weight=weight))


def address(number: int) -> str:
    return f"http://10.0.0.{number}:80"


class NamesTests(SynchronousTestCase):
    def test_the_first_source_holds(self) -> None:
        names = Names()
        names.say(CONFIG, [named(1, 5)])
        names.say("dns", [named(2), named(1, 7)])
        self.assertEqual(
            [(name, by, each.settings.weight) for name, (by, each) in names.wanted().items()],
            [(address(1), CONFIG, 5), (address(2), "dns", 1)],
        )
        self.assertEqual((names.weight(address(1)), names.sources), (5, (CONFIG, "dns")))
        names.say(CONFIG, [])
        self.assertEqual(names.wanted()[address(1)][0], "dns")
        self.assertEqual(names.weight(address(1)), 7)

    def test_what_a_source_says_replaces_what_it_said(self) -> None:
        names = Names()
        names.say("dns", [named(1), named(2)])
        names.say("dns", [named(2)])
        self.assertEqual(list(names.wanted()), [address(2)])
        self.assertRaises(KeyError, names.weight, address(1))
        names.forget("dns")
        names.forget("file")
        self.assertEqual((names.wanted(), names.sources), ({}, ()))

    def test_over_a_reload(self) -> None:
        before, names = Names(), Names()
        before.say(CONFIG, [named(1)])
        before.say("dns", [named(2)])
        names.say(CONFIG, [named(3)])
        names.take_over(before)
        self.assertEqual(list(names.wanted()), [address(3), address(2)])
        self.assertEqual(names.discovered(), {"dns": (named(2),)})
        self.assertEqual(repr(names), "<Names config 1, dns 1>")
        self.assertEqual(repr(Names()), "<Names none>")
