"""Most of it is in tests/golden/gateway; here is what a golden file shows badly."""

import unittest
from pathlib import Path

from edgegw.config.problems import ConfigError
from edgegw.config.source import loads
from edgegw.gateway.loading import accept
from edgegw.gateway.references import LATER
from edgegw.gateway.settings import GatewaySettings
from tests.gateway.test_settings import every_key


def problems(text: str) -> list[str]:
    try:
        accept(loads("edgegw: 1\n" + text, environ={}), Path("/"))
    except ConfigError as error:
        return [problem.message for problem in error.problems]
    return []


def listen(*places: str) -> list[str]:
    return problems("listen: [" + ", ".join(f"{{{place}}}" for place in places) + "]\n")


class PlaceTests(unittest.TestCase):
    def test_places_that_go_together(self) -> None:
        for places in (
            ("port: 1", "port: 2"),
            ("port: 1, interface: 127.0.0.1", "port: 1, interface: 127.0.0.2"),
            ("port: 1, interface: 127.0.0.1", "port: 1, interface: '::1'"),
            ("port: 1, interface: 0.0.0.0", "port: 1, interface: '::'"),
            ("port: 1, interface: 0.0.0.0", "port: 1, interface: '::1'"),
            ("port: 1", "unix: x", "systemd: y"),
        ):
            self.assertEqual(listen(*places), [], places)

    def test_places_that_do_not(self) -> None:
        for places in (
            ("port: 1", "port: 1, interface: 0.0.0.0"),
            ("port: 1", "port: 1, interface: '::1'"),
            ("port: 1, interface: 0.0.0.0", "port: 1, interface: 127.0.0.1"),
            ("port: 1, interface: '::1'", "port: 1, interface: '::'"),
            ("port: 1, interface: localhost", "port: 1, interface: 127.0.0.1"),
        ):
            self.assertEqual(len(listen(*places)), 1, places)

    def test_the_observe_site(self) -> None:
        base = "listen: [{port: 9902, interface: 127.0.0.1}]\nobserve: {listen: "
        self.assertEqual(len(problems(base + "':9902'}")), 1)
        self.assertEqual(len(problems(base + "'localhost:9902'}")), 1)
        self.assertEqual(problems(base + "'127.0.0.1:9903'}"), [])
        self.assertEqual(problems(base + "'[::1]:9902'}"), [])

    def test_many_upstreams_are_not_all_listed(self) -> None:
        many = ", ".join(f"u{number}: {{endpoints: ['http://h']}}" for number in range(30))
        text = f"listen: [80]\nupstreams: {{{many}}}\nroutes: [{{match: /, to: nothing}}]\n"
        self.assertRegex(problems(text)[0], r"defined: u0, u1, .*, u9 and 20 more$")


class TargetTests(unittest.TestCase):
    def test_keys_of_upstreams_on_other_routes(self) -> None:
        """Nothing is accepted and not enforced."""
        text = "edgegw: 1\nlisten: [80]\nroutes:\n  - {match: /a, respond: {body: x}, websocket: off, grpc: {web: false}}\n"
        with self.assertRaises(ConfigError) as caught:
            accept(loads(text, environ={}), Path("/"))
        self.assertEqual(
            sorted(problem.message.split()[0] for problem in caught.exception.problems), ["grpc", "websocket"]
        )

    def test_as_defaults_they_are_for_those_that_have_one(self) -> None:
        text = "edgegw: 1\nlisten: [80]\ndefaults: {websocket: off}\nroutes:\n  - {match: /a, respond: {body: x}}\n"
        accept(loads(text, environ={}), Path("/"))


class LaterTests(unittest.TestCase):
    def test_none_of_them_is_there_already(self) -> None:
        """A key that has been built leaves the table."""
        known = set(every_key())
        for place, keys in LATER.items():
            for key in keys:
                self.assertNotIn(f"{place}.{key}" if place else key, known)

    def test_only_where_they_would_belong(self) -> None:
        """Elsewhere it is a mistake like any other, and a guess may help."""
        text = "listen: [80]\nlimit: 1\nupstreams: {u: {endpoints: ['http://h'], cache: 1}}\n"
        try:
            accept(loads("edgegw: 1\n" + text, environ={}), Path("/"))
        except ConfigError as error:
            self.assertNotIn("this version does not have it", [problem.hint for problem in error.problems])
        self.assertTrue(GatewaySettings.model_fields)
