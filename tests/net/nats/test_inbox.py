"""Tests of edgegw.net.nats.inbox."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.nats.inbox import Inbox
from edgegw.wire.nats import Message
from tests.net.nats.double import message


class InboxTests(SynchronousTestCase):
    """Who waits for what."""

    def test_each_has_its_own(self) -> None:
        inbox = Inbox("_INBOX.x")
        one: list[Message | None] = []
        two: list[Message | None] = []
        first, second = inbox.open(one.append), inbox.open(two.append)
        self.assertEqual((inbox.subject, first != second), ("_INBOX.x.*", True))
        inbox.message(message(second))
        inbox.message(message(first))
        inbox.message(message(first))
        self.assertEqual(([each and each.subject for each in one], len(two)), ([first, first], 1))
        inbox.close(first)
        inbox.message(message(first))
        inbox.message(message("_INBOX.x.99"))
        self.assertEqual(len(one), 2)

    def test_lost(self) -> None:
        """All are told, and may ask again at once."""
        inbox = Inbox("_INBOX.x")
        told: list[Message | None] = []
        inbox.open(lambda each: inbox.open(told.append) and told.append(each))
        inbox.lost()
        self.assertEqual(told, [None])
        self.assertIn("1 waiting", repr(inbox))
