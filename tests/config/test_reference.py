"""The reference page."""

import re
import unittest

from edgegw.config.model import Settings
from edgegw.config.reference import reference_markdown
from tests.config.sample import Config, Upstream


class Twice(Settings):
    upstreams: dict[str, Upstream] = {}
    """By name."""
    fallback: Upstream | None = None
    """When none fits."""


class ReferenceTests(unittest.TestCase):
    def test_every_key_is_on_it_and_links_lead_somewhere(self) -> None:
        page = reference_markdown(Config)
        for key in (
            "`listen.tls`",
            "`min_version`",
            "| `idle_timeout` | duration | `60s` |",
            "`upstreams.pool`",
            "| `from` |",
        ):
            self.assertIn(key, page)
        anchors = {re.sub(r"[^a-z0-9_ -]", "", title.lower()) for title in re.findall(r"^#+ (.*)$", page, re.M)}
        for link in re.findall(r"\(#([^)]*)\)", page):
            self.assertIn(link, anchors)

    def test_cells_do_not_break_the_table(self) -> None:
        for row in re.findall(r"^\|.*$", reference_markdown(Config), re.M):
            self.assertEqual(len(re.findall(r"(?<!\\)\|", row)), 5, row)

    def test_the_same_keys_are_told_once(self) -> None:
        page = reference_markdown(Twice)
        self.assertEqual(page.count("| `weight` |"), 1)
        self.assertIn("It has the keys of [`upstreams`](#upstreams).", page)
