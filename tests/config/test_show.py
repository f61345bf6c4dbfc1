"""The effective configuration."""

import unittest

from edgegw.config.show import show
from edgegw.config.source import loads
from edgegw.config.validation import validate
from tests.config.sample import Config

TEXT = """
workers: auto
upstreams:
  users:
    endpoints: ["http://a:1", {url: "http://b:2", weight: 3}]
    pool: {idle_timeout: 90s}
    panic: 25%
    from: k8s
routes:
  - match: GET api.example.com/users/{id}/**
    to: users
    timeout: 1500ms
    headers: {X: "$${a}", Y: "$$file:x", Z: "yes", "a: b": "tab\\there", N: "017", O: "12:30", "": "\\u00a0 é"}
"""


class ShowTests(unittest.TestCase):
    def test_it_reads_back_as_the_same(self) -> None:
        document = loads(TEXT)
        settings = validate(Config, document)
        again = validate(Config, loads(show(settings, document)))
        self.assertEqual(again, settings)

    def test_without_the_defaults_it_is_what_was_written(self) -> None:
        document = loads(TEXT)
        settings = validate(Config, document)
        kept = "".join(line + "\n" for line in show(settings, document).splitlines() if not line.endswith("# default"))
        self.assertEqual(validate(Config, loads(kept)), settings)
        self.assertNotIn("observe", kept)
        self.assertIn("head: 1.5s", kept)

    def test_defaults_are_marked(self) -> None:
        text = show(validate(Config, loads(TEXT)))
        self.assertIn("      max: 256  # default\n      idle_timeout: 90s\n", text)
        self.assertIn("observe:  # default\n  log:  # default\n    level: info  # default\n", text)

    def test_secrets_are_hidden_and_say_where_they_came_from(self) -> None:
        document = loads(
            "admin: {token: '${TOKEN}', listen: '${HOST}:1'}\nupstreams: {u: {endpoints: ['http://${HOST}:1']}}\n",
            environ={"TOKEN": "sesame", "HOST": "internal"},
        )
        text = show(validate(Config, document), document)
        self.assertNotIn("sesame", text)
        self.assertNotIn("internal", text)
        self.assertIn('  token: "********"  # from ${TOKEN}\n', text)
        self.assertIn('url: "********"  # from http://${HOST}:1\n        weight: 1  # default\n', text)

    def test_a_secret_type_is_hidden_even_when_it_stands_in_the_file(self) -> None:
        document = loads("admin: {token: in-the-file}\n")
        self.assertNotIn("in-the-file", show(validate(Config, document), document))
        self.assertNotIn("in-the-file", show(validate(Config, document)))
