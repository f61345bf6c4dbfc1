"""Codes and outcomes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.websocket import ending
from edgegw.net.websocket.ending import Cause, RelayOutcome
from edgegw.net.websocket.frames import may_be_sent


class EndingTests(SynchronousTestCase):
    def test_what_we_say_may_be_said(self) -> None:
        codes = [value for name, value in vars(ending).items() if name.isupper() and isinstance(value, int)]
        self.assertEqual(sorted(codes), [1001, 1002, 1007, 1008, 1009, 1011])
        self.assertTrue(all(map(may_be_sent, codes)))

    def test_the_table_names_every_code(self) -> None:
        for code in (1001, 1002, 1007, 1008, 1009, 1011):
            self.assertIn(str(code), ending.__doc__ or "")

    def test_outcomes_are_values(self) -> None:
        one = RelayOutcome(Cause.CLOSED, "downstream", 1000, 1.5, 1, 2, 3, 4)
        self.assertEqual(one, RelayOutcome(Cause.CLOSED, "downstream", 1000, 1.5, 1, 2, 3, 4))
        self.assertIn("Cause.CLOSED", repr(one))
