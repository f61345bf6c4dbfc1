"""The errors page: every reason once, under its side, with its status."""

import re

from twisted.trial.unittest import SynchronousTestCase

from edgegw.cli import errors_page
from edgegw.cli.errors_page import errors_markdown
from edgegw.cli.reasons import GATEWAY_REASONS, RESPONSE_ONLY, WIRE_REASONS, Reason

ROW = re.compile(r'^\| <a id="([^"]+)"></a>`([^`]+)` \| (\d+) \|', re.MULTILINE)


def sections(page: str) -> dict[str, list[tuple[str, str, int]]]:
    """title -> (anchor, reason, status) of each row."""
    _, *parts = page.split("\n## ")
    rows = {part.partition("\n")[0]: ROW.findall(part) for part in parts}
    return {title: [(anchor, name, int(status)) for anchor, name, status in found] for title, found in rows.items()}


class ErrorsPageTests(SynchronousTestCase):
    def test_every_reason_has_an_anchor_of_its_own(self) -> None:
        found = re.findall(r'<a id="([^"]+)">', errors_markdown())
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual({*GATEWAY_REASONS, *WIRE_REASONS} - set(found), set())

    def test_reasons_stand_under_their_side_in_order(self) -> None:
        found = sections(errors_markdown())
        for side, title in (
            ("downstream", "The downstream peer, and what it asked for"),
            ("upstream", "The upstream"),
            ("gateway", "The gateway"),
        ):
            wanted = sorted((name, each.status) for name, each in GATEWAY_REASONS.items() if each.side == side)
            self.assertEqual([(name, status) for _, name, status in found[title]], wanted, title)

    def test_what_breaks_http(self) -> None:
        found = sections(errors_markdown())
        requests = {name: status for _, name, status in found["What breaks HTTP: requests"]}
        self.assertEqual((requests["bad_method"], requests["unknown_method"]), (400, 501))
        responses = {name: status for _, name, status in found["What breaks HTTP: responses only"]}
        self.assertEqual(responses, dict.fromkeys(RESPONSE_ONLY, 502))
        self.assertEqual({*requests, *responses}, set(WIRE_REASONS))
        self.assertEqual(set(requests) & set(responses), set())

    def test_a_namesake_gets_another_anchor(self) -> None:
        """A reason of a codec that the gateway has as well; and a pipe does not end a cell."""
        self.patch(errors_page, "GATEWAY_REASONS", {"twice": Reason(503, "gateway", "Ours.")})
        self.patch(errors_page, "WIRE_REASONS", {"twice": "a | b", "once": "c"})
        page = errors_markdown()
        self.assertEqual(sections(page)["The gateway"], [("twice", "twice", 503)])
        self.assertEqual(
            sections(page)["What breaks HTTP: requests"], [("once", "once", 400), ("http_twice", "twice", 400)]
        )
        self.assertIn("| 400 | a \\| b |\n", page)

    def test_ends_in_one_line_break(self) -> None:
        page = errors_markdown()
        self.assertTrue(page.startswith("# Errors\n"))
        self.assertTrue(page.endswith("|\n"))
