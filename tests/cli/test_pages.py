"""The generated pages, and whether the tables of reasons say what the code does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from edgegw.cli.errors_page import errors_markdown
from edgegw.cli.pages import cli_markdown
from edgegw.cli.reasons import GATEWAY_REASONS, RESPONSE_ONLY, WIRE_REASONS, WIRE_STATUS
from edgegw.cli.table import VERBS
from tests.cli.case import CliCase

SOURCE = Path(__file__).resolve().parent.parent.parent / "edgegw"
NAME = re.compile(r"[a-z]+(_[a-z0-9]+)+")
CALLS = {"GatewayError", "Refused", "Violation", "_error", "_refusal", "_refused", "fail", "_fail", "_end_badly"}


def raised(*folders: str) -> Iterator[tuple[str, int | None, str]]:
    """(reason, status or None, place) of everything that the code raises with a literal reason."""
    for path in (path for folder in folders for path in sorted((SOURCE / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in CALLS:
                values = [each.value for each in node.args if isinstance(each, ast.Constant)]
                status = next((value for value in values if isinstance(value, int)), None)
                reason = next((value for value in values if isinstance(value, str)), "")
                if NAME.fullmatch(reason):
                    yield reason, status, f"{path.relative_to(SOURCE)}:{node.lineno}"


ABOVE = ("exchange", "net", "routing", "middleware", "upstream", "targets", "gateway")


class ReasonsTests(CliCase):
    def test_everything_raised_is_in_a_table(self) -> None:
        known = {*GATEWAY_REASONS, *WIRE_REASONS}
        found = [(reason, place) for reason, _, place in raised(*ABOVE) if reason not in known]
        self.assertEqual(found, [])

    def test_everything_in_the_table_is_in_the_code(self) -> None:
        text = "".join(path.read_text() for folder in ABOVE for path in (SOURCE / folder).rglob("*.py"))
        self.assertEqual([reason for reason in GATEWAY_REASONS if f'"{reason}"' not in text], [])

    def test_statuses(self) -> None:
        wrong = [
            (reason, status, place)
            for reason, status, place in raised(*ABOVE)
            if status
            and reason in GATEWAY_REASONS
            and GATEWAY_REASONS[reason].status != status
            # The rule's own fault has another status, and the table says so.
            and (reason, status) != ("bad_redirect", 500)
        ]
        self.assertEqual(wrong, [])

    def test_statuses_of_the_codecs(self) -> None:
        for reason, status, place in raised("wire"):
            if status is None or status == 502:
                continue
            with self.subTest(place=place):
                self.assertEqual(WIRE_STATUS.get(reason, 400), status)

    def test_responses_only(self) -> None:
        found: dict[str, set[int]] = {}
        for reason, status, _ in raised("wire"):
            found.setdefault(reason, set()).add(status or 0)
        self.assertEqual({reason for reason, statuses in found.items() if statuses == {502}}, set(RESPONSE_ONLY))


class PagesTests(CliCase):
    def test_every_reason_has_an_anchor_of_its_own(self) -> None:
        found = re.findall(r'<a id="([^"]+)">', errors_markdown())
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual({*GATEWAY_REASONS, *WIRE_REASONS} - set(found), set())

    def test_every_verb_and_option_is_on_the_page(self) -> None:
        page = cli_markdown(VERBS)
        for verb in VERBS.values():
            self.assertIn(f"\n## edgegw {verb.name}\n", page)
            for argument in verb.arguments:
                self.assertIn(argument.shown.replace("|", "\\|"), page)

    def test_written_once_and_checked(self) -> None:
        self.assertEqual(self.run_edgegw("docs --check pages").status, 1)
        self.assertEqual(self.run_edgegw("docs pages").status, 0)
        names = sorted(path.name for path in Path("pages").iterdir())
        self.assertEqual(names, ["cli.md", "configuration.md", "errors.md", "metrics.md"])
        self.assertEqual(self.run_edgegw("docs --check pages"), (0, "", ""))

    def test_a_stale_page_is_named_with_its_line(self) -> None:
        self.run_edgegw("docs pages")
        lines = Path("pages/errors.md").read_text().splitlines()
        lines[4] = "something else"
        Path("pages/errors.md").write_text("\n".join(lines) + "\n")
        Path("pages/cli.md").unlink()
        done = self.run_edgegw("docs --check pages")
        self.assertEqual(done, (1, "", "pages/cli.md: is missing\npages/errors.md: is stale from line 5 on\n"))
        self.assertEqual(self.run_edgegw("docs pages").out, "pages/cli.md: written\npages/errors.md: written\n")
