"""`edgegw explain`."""

import unittest

from edgegw.config.explain import UnknownKey, explain
from tests.config.sample import Config


class ExplainTests(unittest.TestCase):
    def test_a_value(self) -> None:
        self.assertEqual(
            explain(Config, "upstreams.pool.idle_timeout"),
            "KEY      upstreams.pool.idle_timeout\n"
            "TYPE     duration\n"
            "DEFAULT  60s\n"
            "\n"
            "  How long an idle connection is kept.\n"
            "\n"
            "EXAMPLES\n"
            "  idle_timeout: 250ms\n"
            "  idle_timeout: 5s\n"
            "  idle_timeout: 2m\n",
        )

    def test_a_map(self) -> None:
        text = explain(Config, "routes")
        self.assertIn("KEYS of each\n  name        text\n      What it is called in logs and metrics.\n", text)
        self.assertIn("  match       text or map           required\n", text)
        self.assertIn("body_limit  size or none          default 10MiB\n", text)

    def test_names_and_stars_do_not_matter(self) -> None:
        for key in ("upstreams.*.pool.max", "upstreams.users.pool.max", "upstreams[users].pool.max"):
            self.assertEqual(explain(Config, key), explain(Config, "upstreams.pool.max"))

    def test_the_whole(self) -> None:
        text = explain(Config)
        self.assertIn("the configuration", text)
        self.assertIn("upstreams  map of names to maps", text)

    def test_required(self) -> None:
        self.assertIn("DEFAULT  none, it is required", explain(Config, "routes.match"))
        self.assertIn("DEFAULT  not set", explain(Config, "routes.limit"))

    def test_unknown(self) -> None:
        table = {
            "route": 'unknown key "route"; did you mean "routes"?',
            "routes.limt": 'unknown key "limt" in routes; did you mean "routes.limit"?',
            "upstreams.pol.max": 'unknown key "pol" in upstreams; did you mean "upstreams.pool"?',
            "workers.zzz": 'unknown key "zzz" in workers; it has no keys',
            "observe.zzz": 'unknown key "zzz" in observe; known: log',
        }
        for key, message in table.items():
            with self.subTest(key=key), self.assertRaises(UnknownKey) as caught:
                explain(Config, key)
            self.assertEqual(str(caught.exception), message)
