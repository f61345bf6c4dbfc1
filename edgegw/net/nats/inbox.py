"""Answers to requests: one subscription for all of them, each known by the last token of its subject."""

from __future__ import annotations

from collections.abc import Callable

from edgegw.wire.nats import Message

NO_RESPONDERS = 503
OnReply = Callable[[Message | None], None]
"""Takes an answer; None: none will come any more, the connection is gone."""


class Inbox:
    """Who waits for what.

    Args:
        prefix: of its subjects; nobody else must be able to guess it.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._waiting: dict[str, OnReply] = {}
        self._number = 0

    @property
    def subject(self) -> str:
        """What to subscribe to."""
        return f"{self.prefix}.*"

    def open(self, on_reply: OnReply) -> str:
        """A subject for answers, until it is closed."""
        self._number += 1
        token = str(self._number)
        self._waiting[token] = on_reply
        return f"{self.prefix}.{token}"

    def close(self, subject: str) -> None:
        """No more answers are wanted there."""
        self._waiting.pop(subject.rpartition(".")[2], None)

    def message(self, message: Message) -> None:
        """Hand an answer on; those that nobody waits for are late."""
        on_reply = self._waiting.get(message.subject.rpartition(".")[2])
        if on_reply is not None:
            on_reply(message)

    def lost(self) -> None:
        """The connection is gone."""
        waiting, self._waiting = self._waiting, {}
        for on_reply in waiting.values():
            on_reply(None)

    def __repr__(self) -> str:
        return f"<Inbox {len(self._waiting)} waiting>"
