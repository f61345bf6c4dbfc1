"""One connection to NATS for all who want the same one: each of them is told of it, and what several listen to comes once."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from edgegw.net.nats.client import NatsClient, Owner
from edgegw.wire.nats import Message

_SPOKEN = 64
"""Subjects of the last messages of a guest, by which it is known who the server means when it refuses one."""
_QUOTED = re.compile(r'"([^"]*)"')
_log = Logger("edgegw.net.nats")


@dataclass(eq=False)
class Listening:
    """What one guest listens to."""

    subject: str
    on_message: Callable[[Message], None]


class _Topic:
    """What is subscribed to once for all who listen. refused: what the server said to that."""

    def __init__(self, client: NatsClient, subject: str) -> None:
        self.listening: list[Listening] = []
        self.refused = ""
        self.subscription = client.subscribe(subject, self._hand_out)

    def _hand_out(self, message: Message) -> None:
        for each in tuple(self.listening):
            try:
                each.on_message(message)
            except Exception:
                # What one does not understand the others may.
                _log.failure("A message on {subject} was not understood", subject=repr(message.subject[:200]))


class Guest:
    """One who uses a shared connection, from `start` to `stop`.

    Args:
        owner: told of the connection.
    """

    def __init__(self, shared: SharedClient, owner: Owner) -> None:
        self.owner = owner
        self.listening: list[Listening] = []
        self._shared = shared
        self._spoken: deque[str] = deque(maxlen=_SPOKEN)

    @property
    def client(self) -> NatsClient | None:
        """The connection while it may be used; None before the start and after the stop."""
        return self._shared.client_of(self)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        client = self.client
        return client is not None and client.is_open

    def start(self) -> None:
        """Be connected; `owner.opened` is told, maybe before this returns."""
        self._shared.enter(self)

    def stop(self) -> Deferred[None] | None:
        """Nothing is told any more. The last one closes the connection; fires when it is closed."""
        return self._shared.leave(self)

    def subscribe(self, subject: str, on_message: Callable[[Message], None]) -> Listening:
        """Listen, on every connection from the start on. Raises ValueError: it cannot be a subject."""
        made = Listening(subject, on_message)
        if self.client is not None:
            self._shared.listen(made)
        self.listening.append(made)
        return made

    def unsubscribe(self, listening: Listening) -> None:
        """Listen no more."""
        if listening in self.listening:
            self.listening.remove(listening)
            if self.client is not None:
                self._shared.deafen(listening)

    def publish(self, subject: str, payload: bytes = b"") -> bool:
        """As `NatsClient.publish`."""
        return self._speaking(subject).publish(subject, payload) if self.client is not None else False

    def request(self, subject: str, payload: bytes, timeout_s: float) -> Deferred[Message]:
        """As `NatsClient.request`; between start and stop."""
        return self._speaking(subject).request(subject, payload, timeout_s)

    def gather(self, subject: str, payload: bytes, for_s: float, on_reply: Callable[[Message], None]) -> Deferred[None]:
        """As `NatsClient.gather`; between start and stop."""
        return self._speaking(subject).gather(subject, payload, for_s, on_reply)

    def fresh_inbox(self) -> str:
        """As `NatsClient.fresh_inbox`; between start and stop."""
        return self._running().fresh_inbox()

    def ping(self) -> None:
        """Ask whether the server is there; everybody's `Owner.alive` has the answer."""
        if self.client is not None:
            self.client.ping()

    def concerns(self, subject: str) -> bool:
        """Whether the server may mean this one when it refuses a subject."""
        return subject in self._spoken or any(each.subject == subject for each in self.listening)

    def _speaking(self, subject: str) -> NatsClient:
        self._spoken.append(subject)
        return self._running()

    def _running(self) -> NatsClient:
        client = self.client
        if client is None:
            raise RuntimeError("it is not started")
        return client

    def __repr__(self) -> str:
        return f"<Guest of {self._shared!r}, listening to {len(self.listening)}>"


class SharedClient:
    """The connection, as long as there are guests; an `Owner`.

    Args:
        make_client: connects, and tells its owner. clock: `callLater`.
    """

    def __init__(self, make_client: Callable[[Owner], NatsClient], clock: Any) -> None:
        self._make_client = make_client
        self._clock = clock
        self._client: NatsClient | None = None
        self._guests: dict[Guest, None] = {}
        self._topics: dict[str, _Topic] = {}
        self._trouble = ""
        """Why there is no connection."""
        self._closing: IDelayedCall | None = None
        self._closed: Deferred[None] = Deferred()

    def guest(self, owner: Owner) -> Guest:
        """One more, who is not there before it starts."""
        return Guest(self, owner)

    # What guests do.

    def client_of(self, guest: Guest) -> NatsClient | None:
        """What this one may use now."""
        return self._client if guest in self._guests else None

    def enter(self, guest: Guest) -> None:
        """It is there from now on; with the first one the connection is made."""
        self._guests[guest] = None
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
            self._closed.callback(None)
        client, fresh = self._client, self._client is None
        if client is None:
            client = self._client = self._make_client(self)
        for each in guest.listening:
            self.listen(each)
        if fresh:
            client.start()
        elif client.is_open:
            # Its answer comes after whatever the server says to the subscriptions.
            client.ping()
            told = {self._topics[each.subject].refused for each in guest.listening} - {""}
            guest.owner.opened()
            for refused in told:
                # It may have had enough.
                if guest in self._guests:
                    guest.owner.complained(refused)
        elif self._trouble:
            guest.owner.failed(self._trouble)

    def leave(self, guest: Guest) -> Deferred[None] | None:
        """It is gone. After the last one the connection closes in the next turn: at a reload others come within this one."""
        if guest not in self._guests:
            return None
        del self._guests[guest]
        for each in guest.listening:
            self.deafen(each)
        if self._guests:
            return None
        self._closing = self._clock.callLater(0, self._close)
        self._closed = Deferred()
        return self._closed

    def _close(self) -> None:
        self._closing = None
        client, self._client = self._client, None
        self._trouble = ""
        closed = self._closed
        drained = client.stop() if client is not None else None
        if drained is None:
            closed.callback(None)
        else:
            drained.chainDeferred(closed)

    def listen(self, listening: Listening) -> None:
        """One more listens to its subject."""
        topic = self._topics.get(listening.subject)
        if topic is None:
            assert self._client is not None
            topic = self._topics[listening.subject] = _Topic(self._client, listening.subject)
        topic.listening.append(listening)

    def deafen(self, listening: Listening) -> None:
        """One less; with the last one the subscription ends."""
        topic = self._topics[listening.subject]
        topic.listening.remove(listening)
        if not topic.listening:
            del self._topics[listening.subject]
            if self._client is not None:
                self._client.unsubscribe(topic.subscription)

    # What the client tells.

    def opened(self) -> None:
        """`Owner`."""
        self._trouble = ""
        self._tell(lambda owner: owner.opened())

    def alive(self, sent_s: float) -> None:
        """`Owner`."""
        self._tell(lambda owner: owner.alive(sent_s))

    def lost(self, reason: str) -> None:
        """`Owner`."""
        self._trouble = reason
        for topic in self._topics.values():
            topic.refused = ""
        self._tell(lambda owner: owner.lost(reason))

    def failed(self, reason: str) -> None:
        """`Owner`."""
        self._trouble = reason
        self._tell(lambda owner: owner.failed(reason))

    def complained(self, words: str) -> None:
        """`Owner`: whoever it is about is told. Who is gone already need not know."""
        found = _QUOTED.search(words)
        subject = found[1] if found is not None else ""
        topic = self._topics.get(subject)
        if topic is not None and "subscription" in words.lower():
            topic.refused = words
        self._tell(lambda owner: owner.complained(words), subject)

    def _tell(self, told: Callable[[Owner], None], subject: str = "") -> None:
        for guest in tuple(self._guests):
            if guest not in self._guests or (subject and not guest.concerns(subject)):
                continue
            try:
                told(guest.owner)
            except Exception:
                _log.failure("{guest!r} did not take what it was told", guest=guest)

    def __repr__(self) -> str:
        return f"<SharedClient of {len(self._guests)}, {self._client!r}>"
