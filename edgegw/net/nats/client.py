"""A connection to NATS that comes back: one of several servers, what is subscribed to, requests with deadlines."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from edgegw.net.nats.connection import LoginRefused, NatsConnection, NatsError
from edgegw.net.nats.dialing import Dialer
from edgegw.net.nats.inbox import NO_RESPONDERS, Inbox
from edgegw.net.nats.settings import Server, parse_server
from edgegw.wire.nats import MAX_PAYLOAD, Message, publish, subscribe, unsubscribe

BACK_OFF_S = 0.5, 15.0
"""The first pause after all servers were tried, and the longest; what is waited is a part of it by chance."""
_LEAST_S = 0.05
_STEADY_S = 10.0
"""A connection that lasted so long was a good one: after it the first attempt is made at once."""
_DRAIN_S = 1.0
_MAX_SERVERS = 64
_log = Logger("edgegw.net.nats")


class Owner(Protocol):
    """Whom a client tells."""

    def opened(self) -> None:
        """Connected, and subscribed again to everything."""

    def alive(self, sent_s: float) -> None:
        """The server answers the PING that was sent then, by the client's clock."""

    def lost(self, reason: str) -> None:
        """Not connected any more. It goes on trying."""

    def failed(self, reason: str) -> None:
        """An attempt to connect did not work. It goes on trying."""

    def complained(self, words: str) -> None:
        """The server refuses something that was asked of it, such as a subscription, in its own words."""


@dataclass(eq=False)
class Subscription:
    """What is listened to. sid: its number, for unsubscribing."""

    subject: str
    on_message: Callable[[Message], None]
    sid: int
    queue: str = ""


class NatsClient:
    """Of one set of servers.

    Args:
        servers: any of them will do. dialer: makes connections. owner: told of them. clock: `callLater` and seconds.
        chance: for the order of servers, back-off, and inboxes that nobody can guess. cluster: also use servers that are told of.

    Attributes:
        dropped: messages that were not sent, because there was no connection or the server did not take them.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        dialer: Dialer,
        owner: Owner,
        clock: Any,
        chance: random.Random,
        cluster: bool = False,
    ) -> None:
        self._servers = list(servers)
        # All gateways must not sit on the first server.
        chance.shuffle(self._servers)
        self._dialer = dialer
        self._owner = owner
        self._clock = clock
        self._chance = chance
        self._cluster = cluster
        self._connection: NatsConnection | None = None
        self._attempt: Deferred[Any] | None = None
        self._call: IDelayedCall | None = None
        self._tried = 0
        """Attempts since the last good connection."""
        self._opened_s = 0.0
        self._running = False
        self._stopped: Deferred[None] | None = None
        self._subscriptions: dict[int, Subscription] = {}
        self._sid = 0
        self._inbox = Inbox(self.fresh_inbox())
        self.subscribe(self._inbox.subject, self._inbox.message)
        self.dropped = 0

    # Life.

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None and self._connection.is_open

    def start(self) -> None:
        """Connect, and stay connected."""
        self._running = True
        self._dial()

    def stop(self) -> Deferred[None] | None:
        """Drain: nothing new comes, what was said is said; then the connection closes. Fires when it has; None: there was none."""
        if not self._running:
            return self._stopped
        self._running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._attempt is not None:
            self._attempt.cancel()
        connection = self._connection
        if connection is None or not connection.is_open:
            return None
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        connection.send(b"".join(unsubscribe(sid) for sid in self._subscriptions))
        connection.ping()
        self._call = self._clock.callLater(_DRAIN_S, self._cut)
        return stopped

    def _cut(self) -> None:
        self._call = None
        if self._connection is not None:
            self._connection.abort("we closed it")

    # What is sent.

    def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> bool:
        """Send a message; False: it was dropped, because there is no connection, or the server takes nothing, or not so much.

        Raises:
            ValueError: the subject or a header cannot be.
        """
        message = publish(subject, payload, reply, headers)
        connection = self._connection
        if (
            connection is None
            or not connection.is_open
            or connection.congested
            or len(payload) > self._largest(connection)
        ):
            self.dropped += 1
            return False
        connection.send(message)
        return True

    def subscribe(self, subject: str, on_message: Callable[[Message], None], queue: str = "") -> Subscription:
        """Listen, on this connection and on every one after it, until `unsubscribe`. Raises ValueError: it cannot be a subject."""
        self._sid += 1
        line = subscribe(subject, self._sid, queue)
        made = self._subscriptions[self._sid] = Subscription(subject, on_message, self._sid, queue)
        if self._connection is not None:
            self._connection.send(line)
        return made

    def unsubscribe(self, subscription: Subscription) -> None:
        """Listen no more."""
        if self._subscriptions.pop(subscription.sid, None) is not None and self._connection is not None:
            self._connection.send(unsubscribe(subscription.sid))

    def ping(self) -> None:
        """Ask now whether the server is there; `Owner.alive` has the answer."""
        if self._connection is not None:
            self._connection.ping()

    def fresh_inbox(self) -> str:
        """A subject that nobody can guess, to subscribe to."""
        return f"_INBOX.{self._chance.getrandbits(128):032x}"

    def request(self, subject: str, payload: bytes, timeout_s: float) -> Deferred[Message]:
        """The first answer. Cancelling it forgets the question.

        Raises (through the Deferred):
            NatsError: nobody listens there, nobody answered in time, the connection is gone.
        """
        answered: Deferred[Message] = Deferred(lambda _: done())
        late = self._clock.callLater(timeout_s, lambda: fail(f"no answer on {subject} within {timeout_s:g} s"))

        def done() -> None:
            self._inbox.close(reply)
            if late.active():
                late.cancel()

        def fail(words: str) -> None:
            done()
            answered.errback(NatsError(words))

        def take(message: Message | None) -> None:
            if message is None:
                fail("the connection was lost")
            elif message.status == NO_RESPONDERS:
                fail(f"nobody listens on {subject}")
            else:
                done()
                answered.callback(message)

        reply = self._inbox.open(take)
        if not self.publish(subject, payload, reply):
            fail("there is no connection")
        return answered

    def gather(self, subject: str, payload: bytes, for_s: float, on_reply: Callable[[Message], None]) -> Deferred[None]:
        """Ask everybody, and take what is answered within the time. Fires when it is over; at once if nobody listens."""
        over: Deferred[None] = Deferred(lambda _: close())

        def close() -> None:
            self._inbox.close(reply)
            if end.active():
                end.cancel()

        def finish() -> None:
            close()
            over.callback(None)

        def take(message: Message | None) -> None:
            if message is None or message.status == NO_RESPONDERS:
                finish()
            else:
                on_reply(message)

        end = self._clock.callLater(for_s, finish)
        reply = self._inbox.open(take)
        if not self.publish(subject, payload, reply):
            finish()
        return over

    # What a connection tells.

    def message(self, message: Message) -> None:
        """Of the connection."""
        found = self._subscriptions.get(message.sid)
        if found is None or not self._running:
            return
        try:
            found.on_message(message)
        except Exception:
            # Whatever somebody published must not end the connection.
            _log.failure("A message on {subject} was not understood", subject=repr(message.subject[:200]))

    def alive(self, sent_s: float) -> None:
        """Of the connection."""
        if self._running:
            self._owner.alive(sent_s)
        elif self._connection is not None:
            # Drained: the server has taken all that was said.
            self._connection.end()

    def informed(self, info: Mapping[str, Any]) -> None:
        """Of the connection."""
        self._learn(info)
        if info.get("ldm") is True and len(self._servers) > 1 and self._connection is not None:
            self._connection.abort("the server is about to stop (lame duck)")

    def complained(self, words: str) -> None:
        """Of the connection."""
        if self._running:
            self._owner.complained(words)

    def closed(self, connection: NatsConnection, reason: str) -> None:
        """Of the connection."""
        if connection is not self._connection:
            return
        self._connection = None
        self._inbox.lost()
        if not self._running:
            self._gone()
            return
        if self._clock.seconds() - self._opened_s >= _STEADY_S:
            self._tried = 0
        self._servers.append(self._servers.pop(0))
        self._again()
        self._owner.lost(f"{connection.server}: {reason}")

    def _gone(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.callback(None)

    # Coming back.

    def _dial(self) -> None:
        self._call = None
        server = self._servers[0]
        self._tried += 1
        self._attempt = attempt = self._dialer.dial(server, self)
        attempt.addCallbacks(self._open, self._failed)
        attempt.addErrback(lambda failure: _log.failure("Connecting to NATS broke", failure))

    def _open(self, connection: NatsConnection) -> None:
        self._attempt = None
        if not self._running:
            connection.abort("we closed it")
            return
        self._connection = connection
        self._opened_s = self._clock.seconds()
        self._learn(connection.info)
        connection.send(
            b"".join(subscribe(each.subject, each.sid, each.queue) for each in self._subscriptions.values())
        )
        # Its answer says that we are heard and hear again, and not only in some seconds.
        connection.ping()
        self._owner.opened()

    def _failed(self, failure: Failure) -> None:
        self._attempt = None
        if not self._running:
            return
        if not failure.check(NatsError, CancelledError):
            _log.failure("Connecting to NATS broke", failure)
        self._servers.append(self._servers.pop(0))
        # Another server of the cluster will say the same of who we are.
        self._again(patient=failure.check(LoginRefused) is not None)
        self._owner.failed(failure.getErrorMessage())

    def _again(self, patient: bool = False) -> None:
        """Every server is tried once without a pause, unless that is patient; then there are longer and longer ones."""
        rounds, rest = divmod(self._tried, len(self._servers))
        first_s, longest_s = BACK_OFF_S
        wait_s = 0.0
        if patient or (self._tried and not rest):
            wait_s = max(self._chance.random() * min(longest_s, first_s * 2.0 ** min(rounds, 10)), _LEAST_S)
        self._call = self._clock.callLater(wait_s, self._dial)

    def _learn(self, info: Mapping[str, Any]) -> None:
        told = info.get("connect_urls")
        if not self._cluster or not isinstance(told, list):
            return
        for text in told:
            try:
                server = parse_server(text) if isinstance(text, str) else None
            except ValueError:
                continue
            known = any((each.host, each.port) == server[:2] for each in self._servers) if server else True
            if server is not None and not known and len(self._servers) < _MAX_SERVERS:
                self._servers.append(server)

    def _largest(self, connection: NatsConnection) -> int:
        told = connection.info.get("max_payload")
        return min(told, MAX_PAYLOAD) if isinstance(told, int) and told > 0 else MAX_PAYLOAD

    def __repr__(self) -> str:
        state = repr(self._connection) if self._connection is not None else "not connected"
        return f"<NatsClient {state}, {len(self._subscriptions)} subscriptions, {self.dropped} messages dropped>"
