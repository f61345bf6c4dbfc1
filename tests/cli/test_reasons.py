"""The tables of reasons say what the code does, and the code nothing that they do not know."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from edgegw.cli.reasons import GATEWAY_REASONS, RESPONSE_ONLY, WIRE_REASONS, WIRE_STATUS

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


class ReasonsTests(SynchronousTestCase):
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


class TableTests(SynchronousTestCase):
    """The tables among themselves."""

    def test_the_search_can_fail(self) -> None:
        """A search that finds nothing would make every comparison above true."""
        found = {reason: status for reason, status, _ in raised("routing", "wire") if status}
        self.assertEqual(found["no_route"], 404)
        self.assertEqual(found["unknown_method"], 501)

    def test_rows_are_whole(self) -> None:
        for name, each in GATEWAY_REASONS.items():
            with self.subTest(reason=name):
                self.assertRegex(name, r"\A[a-z]+(_[a-z0-9]+)*\Z")
                self.assertIn(each.side, ("downstream", "upstream", "gateway"))
                self.assertTrue(400 <= each.status < 600, each.status)
                self.assertTrue(each.text[0] in "`ABCDEFGHIJKLMNOPQRSTUVWXYZ" and each.text.endswith("."), each.text)

    def test_status_and_side_agree(self) -> None:
        """A 5xx is never the downstream peer's fault, a 4xx other than 499 always is."""
        wrong = [
            name
            for name, each in GATEWAY_REASONS.items()
            if each.status != 499 and (each.status < 500) != (each.side == "downstream")
        ]
        self.assertEqual(wrong, [])

    def test_what_the_small_tables_name_is_a_reason_of_the_codecs(self) -> None:
        self.assertEqual({*WIRE_STATUS, *RESPONSE_ONLY} - set(WIRE_REASONS), set())
        self.assertEqual(RESPONSE_ONLY & set(WIRE_STATUS), frozenset())
