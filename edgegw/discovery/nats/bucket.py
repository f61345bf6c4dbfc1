"""The source for `bucket`: the entries of a JetStream KV bucket, SERVICE.ID as key, an instance as value (ADR-8 of NATS)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from edgegw.discovery.candidate import Refused
from edgegw.discovery.feed import MAX_ENDPOINTS
from edgegw.discovery.interfaces import Listener
from edgegw.discovery.nats.instance import BAD, Scope, read_instance, read_json
from edgegw.discovery.nats.jetstream import OrderedConsumer
from edgegw.discovery.settling import Settling
from edgegw.net.nats.client import Owner
from edgegw.net.nats.sharing import Guest
from edgegw.upstream.address import Named
from edgegw.upstream.environment import Environment
from edgegw.wire.nats import Message

RELIST_S = 60.0
"""Until the whole is read again: an entry that ends by its age is not told of (nats-server before 2.11 has no word for it)."""
RETRY_S = 1.0, 30.0
_GONE = ("DEL", "PURGE")

Items = dict[str, Named]
"""By key."""


class Bucket:
    """Watches one bucket, or what one service has in it.

    A fresh consumer takes over from the one before when it is complete, so there is always something whole.

    Args:
        name: of the source. scope: bucket and service. scheme: of those that tell none. join: makes a guest of the connection.
        timeout_s: for the server's answers.
    """

    def __init__(
        self,
        name: str,
        scope: Scope,
        scheme: str,
        join: Callable[[Owner], Guest],
        environment: Environment,
        timeout_s: float = 5.0,
    ) -> None:
        self.name = name
        self._start = f"$KV.{scope.root}."
        self._subjects = f"{self._start}{scope.service}.>" if scope.service else f"{self._start}>"
        self._stream = f"KV_{scope.root}"
        self._scheme = scheme
        self._timeout_s = timeout_s
        self._reactor = environment.reactor
        self._chance = environment.chance
        self._client = join(self)
        self._listener: Listener | None = None
        self._current: OrderedConsumer | None = None
        self._next: OrderedConsumer | None = None
        self._readings: dict[OrderedConsumer, Items] = {}
        self._items: Items = {}
        self._settling = Settling(environment.reactor, self._settle)
        self._call: IDelayedCall | None = None
        self._failures = 0
        self._complaint = ""

    # Life.

    def start(self, listener: Listener) -> None:
        """`Source`."""
        self._listener = listener
        self._client.start()

    def stop(self) -> Deferred[None] | None:
        """`Source`."""
        self._listener = None
        self._drop_all()
        self._settling.stop()
        return self._client.stop()

    # What the client tells.

    def opened(self) -> None:
        """`Owner`."""
        self._read()

    def alive(self, sent_s: float) -> None:
        """`Owner`. That the server is there does not mean that JetStream is: the consumer says that."""

    def lost(self, reason: str) -> None:
        """`Owner`."""
        self._drop_all()
        self.failed(reason)

    def failed(self, reason: str) -> None:
        """`Owner`."""
        if self._listener is not None:
            self._listener.failed(reason)

    def complained(self, words: str) -> None:
        """`Owner`."""
        self._complaint = f"the server refuses: {words}"
        self.failed(self._complaint)

    # Reading.

    def _read(self) -> None:
        """Read the whole, with a consumer of its own."""
        if self._call is not None:
            if self._call.active():
                self._call.cancel()
            self._call = None
        if self._listener is None or not self._client.is_open:
            return
        if self._next is not None:
            self._drop(self._next)
        made = OrderedConsumer(self._client, self._stream, self._subjects, self, self._reactor, self._timeout_s)
        self._next = made
        self._readings[made] = {}
        made.start()

    def _later(self, wait_s: float) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = self._reactor.callLater(wait_s, self._read)

    def _drop(self, consumer: OrderedConsumer) -> None:
        self._readings.pop(consumer, None)
        consumer.stop()
        if self._next is consumer:
            self._next = None
        if self._current is consumer:
            self._current = None

    def _drop_all(self) -> None:
        for consumer in list(self._readings):
            self._drop(consumer)
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    # What the consumers tell.

    def delivered(self, consumer: OrderedConsumer, message: Message) -> None:
        """`Told`."""
        reading = self._readings.get(consumer)
        if reading is None or not message.subject.startswith(self._start):
            return
        key = message.subject.removeprefix(self._start)
        # A marker of nats-server 2.11 says why an entry ended by itself.
        if message.header("KV-Operation") in _GONE or message.header("Nats-Marker-Reason"):
            reading.pop(key, None)
        else:
            self._entry(reading, key, message.payload)
        if consumer is self._current:
            self._changed()

    def _entry(self, reading: Items, key: str, payload: bytes) -> None:
        service, _, id_ = key.partition(".")
        try:
            if len(reading) >= MAX_ENDPOINTS and key not in reading:
                raise Refused("the rest", f"the bucket has more than {MAX_ENDPOINTS} entries")
            instance = read_instance(read_json(payload, key), self._scheme, key, id_ or key, service if id_ else "")
        except Refused as error:
            # What it said before holds, as with any other answer that is of no use.
            if key in self._items:
                reading.setdefault(key, self._items[key])
            if self._listener is not None:
                self._listener.refused(error.what, error.reason)
            return
        held = instance.status if instance.status in BAD else ""
        reading[key] = Named(instance.named.settings, held)

    def complete(self, consumer: OrderedConsumer) -> None:
        """`Told`."""
        if consumer is not self._next:
            return
        old, self._next, self._current = self._current, None, consumer
        if old is not None:
            self._drop(old)
            self._current = consumer
        self._failures = 0
        self._items = self._readings[consumer]
        self._later(RELIST_S * (1.0 + 0.1 * self._chance.random()))
        self._changed()

    def idle(self, consumer: OrderedConsumer) -> None:
        """`Told`."""
        if consumer is self._current and self._listener is not None and not self._settling.is_due:
            self._listener.confirmed()

    def broke(self, consumer: OrderedConsumer, reason: str) -> None:
        """`Told`."""
        self._drop(consumer)
        if self._listener is None or not self._client.is_open:
            return
        complaint, self._complaint = self._complaint, ""
        self._listener.failed(f"{reason}; {complaint}" if complaint else reason)
        if self._next is not None:
            # Another one is on its way already.
            return
        low_s, high_s = RETRY_S
        self._later(min(low_s * 2.0**self._failures, high_s) * (1.0 + 0.2 * self._chance.random()))
        self._failures = min(self._failures + 1, 10)

    # What is told.

    def _changed(self) -> None:
        if self._listener is not None:
            self._settling.begin()

    def _settle(self) -> None:
        if self._listener is not None:
            self._listener.found([self._items[key] for key in sorted(self._items)])

    def __repr__(self) -> str:
        return f"<Bucket {self.name}: {len(self._items)} entries, {self._client!r}>"
