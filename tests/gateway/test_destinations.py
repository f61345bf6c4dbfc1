"""Most of it is in tests/golden/gateway: destinations.txt and shares.txt. Here is what must not be complained about."""

import unittest
from pathlib import Path

from edgegw.config.problems import Problems
from edgegw.config.source import loads
from edgegw.gateway.destinations import Defined, listed
from edgegw.gateway.loading import accept

BASE = """\
edgegw: 1
listen: [80]
upstreams:
  a: {endpoints: ["http://a1", {url: "http://a2", meta: {version: "2", side: blue}}]}
  b: {endpoints: ["http://b"]}
"""


class DestinationTests(unittest.TestCase):
    def problems(self, route: str) -> list[str]:
        found = Problems()
        document = loads(f"{BASE}routes: [{{match: /, {route}}}]\n", environ={})
        found.extend(accept(document, Path("/")).problems)
        return [problem.message for problem in found]

    def test_what_is_all_right(self) -> None:
        for route in (
            "to: a",
            "to: [a, b]",
            "to: [{upstream: a, weight: 0}, b]",
            'to: [a, {upstream: a, meta: {version: "2"}}]',
            'to: [a, {upstream: b, when: {header: {X-A: "1"}}}, {upstream: b, when: {header: {X-A: "2"}}}]',
            'to: [a, {upstream: a, when: {header: {X-A: "1"}}}]',
            "to: a, mirror: [a, b, b]",
            'to: a, fallback: {to: a, meta: {version: "2"}}',
            "to: [a, b], fallback: b",
            "to: [a, b], split: {key: client_ip}",
            "respond: {status: 200}",
        ):
            with self.subTest(route=route):
                self.assertEqual(self.problems(route), [])

    def test_a_part_that_nobody_is(self) -> None:
        for meta, warned in (
            ('{version: "2"}', False),
            ('{version: "2", side: blue}', False),
            ('{version: "3"}', True),
        ):
            for route in (f"to: {{upstream: a, meta: {meta}}}", f"to: b, fallback: {{to: a, meta: {meta}}}"):
                self.assertEqual(len(self.problems(route)), warned, route)

    def test_many_wrong_names(self) -> None:
        """A guess takes a comparison with every name: there are as many as somebody reads."""
        document = loads("upstreams:\n" + "".join(f"  u-{number}: {{}}\n" for number in range(2000)), environ={})
        defined = Defined(document)
        self.assertIn(" and 1990 more", defined.words)
        guesses = [defined.guess("u_1") for _ in range(2000)]
        self.assertEqual(guesses[:32], ['did you mean "u-1"?'] * 32)
        self.assertEqual(set(guesses[32:]), {None})

    def test_many_names(self) -> None:
        self.assertEqual(listed([]), "none")
        self.assertEqual(listed("abc"), "a, b, c")
        self.assertEqual(listed("abcdefghijkl"), "a, b, c, d, e, f, g, h, i, j and 2 more")
