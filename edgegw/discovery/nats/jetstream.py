"""An ordered consumer: the last message of every subject of a stream, then each new one, in order and without a gap.

After ADR-8 and ADR-17 of github.com/nats-io/nats-architecture-and-design: an ephemeral push consumer without acknowledgements; the
server counts what it delivers, so that a gap is seen, and says now and then that it is there. Whatever goes wrong ends it, and its
owner makes another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from edgegw.net.nats.connection import NatsError
from edgegw.net.nats.sharing import Guest, Listening
from edgegw.wire.nats import Message, is_subject

API = "$JS.API"
HEARTBEAT_S = 5.0
MISSED = 3
"""Heartbeats; then the consumer is gone."""
_INACTIVE_S = 30.0
_CONTROL = 100
_NO_STREAM = 10059
_NOT_ENABLED = (10076, 10039)


class Told(Protocol):
    """Whom a consumer tells."""

    def delivered(self, consumer: OrderedConsumer, message: Message) -> None:
        """The next message."""

    def complete(self, consumer: OrderedConsumer) -> None:
        """What the stream held at the start has been delivered; told once."""

    def idle(self, consumer: OrderedConsumer) -> None:
        """Nothing is new."""

    def broke(self, consumer: OrderedConsumer, reason: str) -> None:
        """It is over, in words for operators."""


class Position(NamedTuple):
    """Where a message stands. sequence: of those delivered, from 1. pending: how many come after it."""

    sequence: int
    pending: int


def position(reply: str) -> Position | None:
    """What the reply subject of a message tells; None: it is not of a consumer.

    `$JS.ACK.STREAM.CONSUMER.TIMES.STREAM-SEQ.CONSUMER-SEQ.TIME.PENDING`, or with DOMAIN.ACCOUNT before the stream and a token
    behind.
    """
    tokens = reply.split(".")
    if tokens[:2] != ["$JS", "ACK"] or (len(tokens) != 9 and len(tokens) < 11):
        return None
    counts = tokens[6:9:2] if len(tokens) == 9 else tokens[8:11:2]
    if not all(each.isascii() and each.isdigit() and len(each) < 20 for each in counts):
        return None
    return Position(*map(int, counts))


class OrderedConsumer:
    """One life of it.

    Args:
        stream: its name. subjects: which messages. clock: for heartbeats. timeout_s: for the server's answer.
    """

    def __init__(self, client: Guest, stream: str, subjects: str, told: Told, clock: Any, timeout_s: float) -> None:
        self._client = client
        self._stream = stream
        self._subjects = subjects
        self._told = told
        self._clock = clock
        self._timeout_s = timeout_s
        self._subscription: Listening | None = None
        self._creating: Deferred[Any] | None = None
        self._call: IDelayedCall | None = None
        self._name = ""
        self._sequence = 0
        self._heard_s = 0.0
        self._over = False
        self.is_complete = False

    def start(self) -> None:
        """Ask the server for it."""
        inbox = self._client.fresh_inbox()
        # Before it is asked for: what comes may overtake the answer.
        self._subscription = self._client.subscribe(inbox, self._take)
        asked = {"stream_name": self._stream, "config": self._config(inbox)}
        subject = f"{API}.CONSUMER.CREATE.{self._stream}"
        creating = self._client.request(subject, json.dumps(asked).encode(), self._timeout_s)
        self._creating = creating
        creating.addCallbacks(self._created, self._not_created)

    def stop(self) -> None:
        """It is not needed any more; nothing is told any more."""
        if self._over:
            return
        self._over = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._creating is not None:
            self._creating.cancel()
        if self._subscription is not None:
            self._client.unsubscribe(self._subscription)
        if self._name and self._client.is_open:
            self._client.publish(f"{API}.CONSUMER.DELETE.{self._stream}.{self._name}")

    def _config(self, inbox: str) -> dict[str, Any]:
        return {
            "deliver_subject": inbox,
            "deliver_policy": "last_per_subject",
            "filter_subject": self._subjects,
            "ack_policy": "none",
            "max_deliver": 1,
            "replay_policy": "instant",
            "flow_control": True,
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
            "inactive_threshold": int(_INACTIVE_S * 1e9),
            "mem_storage": True,
            "num_replicas": 1,
        }

    def _created(self, message: Message) -> None:
        self._creating = None
        answer = _object(message.payload)
        error = answer.get("error")
        name = answer.get("name")
        if error is not None or not isinstance(name, str) or not is_subject(name) or "." in name:
            self._break(_refusal(self._stream, error))
            return
        self._name = name
        self._heard_s = self._clock.seconds()
        self._call = self._clock.callLater(HEARTBEAT_S * MISSED, self._check)
        if answer.get("num_pending") == 0 and self._sequence == 0:
            self._complete()

    def _not_created(self, failure: Failure) -> None:
        self._creating = None
        if failure.check(CancelledError):
            return
        words = failure.getErrorMessage()
        if failure.check(NatsError) and "nobody listens" in words:
            words = "JetStream is not enabled on this server, or not for this account"
        self._break(words)

    def _take(self, message: Message) -> None:
        if self._over:
            return
        self._heard_s = self._clock.seconds()
        if message.status == _CONTROL:
            self._control(message)
        elif message.status:
            self._break(f"the server ended the watch: {message.status} {message.description[:100]}")
        else:
            self._next(message)

    def _next(self, message: Message) -> None:
        at = position(message.reply)
        if at is None:
            return
        if at.sequence != self._sequence + 1:
            self._break(f"message {at.sequence} came after {self._sequence}")
            return
        self._sequence = at.sequence
        self._told.delivered(self, message)
        if at.pending == 0 and not self._over:
            self._complete()

    def _control(self, message: Message) -> None:
        """Flow control wants an answer, so that more is sent; a heartbeat says how far the server is."""
        if message.reply:
            self._answer(message.reply)
            return
        stalled = message.header("Nats-Consumer-Stalled")
        self._answer(stalled)
        last = message.header("Nats-Last-Consumer")
        if last.isascii() and last.isdigit() and int(last[:20]) != self._sequence:
            self._break(f"the server is at message {last[:20]}, {self._sequence} came last")
            return
        # A server that has nothing to say has said everything: some may be gone that were counted at the start.
        if self._name and not stalled:
            self._complete()
        if not self._over:
            self._told.idle(self)

    def _answer(self, subject: str) -> None:
        if subject and is_subject(subject):
            self._client.publish(subject)

    def _complete(self) -> None:
        if not self.is_complete:
            self.is_complete = True
            self._told.complete(self)

    def _check(self) -> None:
        left_s = self._heard_s + HEARTBEAT_S * MISSED - self._clock.seconds()
        self._call = None
        if left_s <= 0:
            self._break(f"nothing was heard for {HEARTBEAT_S * MISSED:g} s")
        else:
            self._call = self._clock.callLater(left_s, self._check)

    def _break(self, reason: str) -> None:
        if not self._over:
            self.stop()
            self._told.broke(self, reason)

    def __repr__(self) -> str:
        return f"<OrderedConsumer of {self._stream} at {self._sequence}{' over' if self._over else ''}>"


def _object(payload: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _refusal(stream: str, error: Any) -> str:
    if not isinstance(error, dict):
        return "the server's answer is not that of JetStream"
    code, words = error.get("err_code"), str(error.get("description", ""))[:200]
    if code == _NO_STREAM:
        bucket = stream.removeprefix("KV_")
        return f"there is no bucket {bucket} (stream {stream}); make it with: nats kv add {bucket}"
    if code in _NOT_ENABLED:
        return "JetStream is not enabled on this server, or not for this account"
    return f"the server refuses to watch {stream}: {words}"
