"""One connection to a NATS server: greeting, TLS if it is wanted, login, pings, and how it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.net.nats.login import Login, LoginError
from edgegw.net.nats.settings import Server
from edgegw.net.tls import UpstreamTls, wrap_client
from edgegw.wire.nats import PING, PONG, Decoder, Err, Event, Garbage, Info, Message, Ping, Pong, connect

PINGS_MAX = 2
"""Without an answer: then the server is gone."""


class NatsError(Exception):
    """Something about NATS did not work; the text is for operators."""


class LoginRefused(NatsError):
    """The server does not want us; the same will not help soon."""


class Heard(Protocol):
    """Whom an open connection tells."""

    def message(self, message: Message) -> None:
        """For one of the subscriptions."""

    def alive(self, sent_s: float) -> None:
        """The server answered the PING that was sent then."""

    def informed(self, info: Mapping[str, Any]) -> None:
        """The server says something new of itself."""

    def complained(self, words: str) -> None:
        """The server refuses something and goes on."""

    def closed(self, connection: NatsConnection, reason: str) -> None:
        """The connection is gone."""


@implementer(IPushProducer)
class NatsConnection(TwistedProtocol):
    """What speaks on the connection, inside TLS if there is any.

    Args:
        server: whom it leads to. login: what CONNECT says. tls: None: only if the server wants it. heard: told when it is open.
        clock: for pings. ping_s: their interval.

    Attributes:
        ready: fires with this when the login is done; fails with a NatsError. Cancelling it ends the connection.
        info: what the server said last. congested: the server takes nothing at the moment.
    """

    transport: Any

    def __init__(
        self, server: Server, login: Login, tls: UpstreamTls | None, heard: Heard, clock: Any, ping_s: float
    ) -> None:
        self.server = server
        self.info: Mapping[str, Any] = {}
        self.congested = False
        self.ready: Deferred[NatsConnection] = Deferred(self._unwanted)
        self.socket: Socket | None = None
        self._login = login
        self._tls = tls
        self._heard = heard
        self._clock = clock
        self._ping_s = ping_s
        self._decoder = Decoder()
        self._state = "greeting"
        self._was_open = False
        self._why = ""
        self._pings: deque[float] = deque()
        """When those that are not answered were sent."""
        self._call: IDelayedCall | None = None

    @property
    def is_open(self) -> bool:
        """Whether the login is done and the connection still there."""
        return self._state == "open"

    def send(self, data: bytes) -> None:
        """Bytes of the codec; nothing happens when the connection is gone."""
        if self._state not in ("closed", "ending"):
            self.transport.write(data)

    def ping(self) -> None:
        """Ask whether the server is there; `Heard.alive` has the answer."""
        if self._state == "open":
            self._pings.append(self._clock.seconds())
            self.send(PING)

    def end(self, why: str = "we closed it") -> None:
        """Close when what was sent is gone."""
        self._finish(why, abort=False)

    def abort(self, why: str) -> None:
        """Close at once."""
        self._finish(why, abort=True)

    # What Twisted tells.

    def dataReceived(self, data: bytes) -> None:
        """Twisted."""
        events = self._decoder.receive(data)
        for at, event in enumerate(events):
            if self._state in ("closed", "ending"):
                return
            more = at + 1 < len(events) or self._decoder.held > 0
            self._take(event, more)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted."""
        self._state = "closed"
        if self._call is not None:
            self._call.cancel()
            self._call = None
        why = self._why or _lost_words(reason)
        if self._was_open:
            self._was_open = False
            self._heard.closed(self, why)
        elif not self.ready.called:
            self.ready.errback(NatsError(f"{self.server}: {why}"))

    def pauseProducing(self) -> None:
        """Twisted: the server does not take what we send."""
        self.congested = True

    def resumeProducing(self) -> None:
        """Twisted: it does again."""
        self.congested = False

    def stopProducing(self) -> None:
        """Twisted: the connection is about to be lost."""
        self.congested = True

    # What the server says.

    def _take(self, event: Event, more: bool) -> None:
        if isinstance(event, Message):
            if self._state == "open":
                self._heard.message(event)
        elif isinstance(event, Ping):
            self.send(PONG)
        elif isinstance(event, Pong):
            self._pong()
        elif isinstance(event, Info):
            self._informed(event.values, more)
        elif isinstance(event, Err):
            self._err(event.text)
        elif isinstance(event, Garbage):
            self._refuse(NatsError(f"{self.server} does not speak NATS: {event.reason}"))

    def _informed(self, info: Mapping[str, Any], more: bool) -> None:
        self.info = info
        if self._state == "open":
            self._heard.informed(info)
        elif self._state == "greeting":
            try:
                self._greeted(info, more)
            except (NatsError, LoginError, ValueError) as error:
                self._refuse(NatsError(f"{self.server}: {error}"))

    def _greeted(self, info: Mapping[str, Any], more: bool) -> None:
        offered = info.get("tls_required") is True or info.get("tls_available") is True
        wanted = self._tls is not None or self.server.secure
        if wanted and not offered:
            raise NatsError("TLS is configured, and the server speaks none")
        secure = wanted or info.get("tls_required") is True
        # Whatever is not usable must show before anything is sent.
        options = self._login.options(info, secure)
        self._state = "login"
        if secure:
            if more:
                raise NatsError("something was said in the clear after the greeting, before TLS")
            assert self.socket is not None
            # Nothing leaves before the server's certificate was found to be right.
            self.socket.secure(self._tls or UpstreamTls(), self.server.host, self._clock)
        self.send(connect(options) + PING)

    def _pong(self) -> None:
        if self._state == "login":
            self._state = "open"
            self._was_open = True
            self.transport.registerProducer(self, True)
            self._call = self._clock.callLater(self._ping_s, self._beat)
            self.ready.callback(self)
        elif self._state == "open" and self._pings:
            self._heard.alive(self._pings.popleft())

    def _beat(self) -> None:
        self._call = None
        if self._pings and self._clock.seconds() - self._pings[0] >= PINGS_MAX * self._ping_s:
            self.abort(f"no answer to {PINGS_MAX} pings")
            return
        self._call = self._clock.callLater(self._ping_s, self._beat)
        self.ping()

    def _err(self, text: str) -> None:
        words = text.lower()
        if self._state == "open" and "permissions violation" in words:
            self._heard.complained(text)
            return
        refused = any(each in words for each in _OF_LOGIN)
        if refused:
            text = f"{text}; check {self._login.kind}"
        if self._state == "open":
            self._why = f"the server says: {text}"
            return
        kind = LoginRefused if refused else NatsError
        self._refuse(kind(f"{self.server} refuses us: {text}"))

    # The end.

    def _refuse(self, error: NatsError) -> None:
        if not self.ready.called:
            self.ready.errback(error)
        self._finish(str(error), abort=True)

    def _unwanted(self, ready: Deferred[NatsConnection]) -> None:
        ready.errback(NatsError(f"{self.server}: given up"))
        self._finish("given up", abort=True)

    def _finish(self, why: str, abort: bool) -> None:
        if self._state == "closed" or self.transport is None:
            return
        self._why = self._why or why
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._state == "open":
            self.transport.unregisterProducer()
        self._state = "ending"
        if abort:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()

    def __repr__(self) -> str:
        return f"<NatsConnection {self.server} {self._state}>"


class Socket(TwistedProtocol):
    """Stands on the socket: hands everything on, and puts TLS in between when it is asked to."""

    transport: Any

    def __init__(self, spoken: NatsConnection) -> None:
        self._spoken = spoken
        self._next: Any = spoken

    def connectionMade(self) -> None:
        """Twisted."""
        self._spoken.socket = self
        self._next.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Twisted."""
        self._next.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted."""
        self._spoken.socket = None
        self._next.connectionLost(reason)

    def secure(self, tls: UpstreamTls, host: str, clock: Any) -> None:
        """From now on TLS is spoken; the connection's transport is then another one. Raises ValueError: no such host."""
        made: Any = wrap_client(Once(lambda: self._spoken), tls, host, clock, ()).buildProtocol(
            self.transport.getPeer()
        )
        self._next = made
        made.makeConnection(self.transport)


class Once(ClientFactory):
    """Makes one protocol."""

    noisy = False

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def buildProtocol(self, addr: Any) -> Any:
        """Twisted."""
        return self._build()


_OF_LOGIN = ("authorization", "authentication", "revoked", "credentials")
"""Words of the server when it does not accept a login (nats-server, errors.go)."""


def _lost_words(reason: Failure) -> str:
    words = reason.getErrorMessage().strip().rstrip(".")
    return words or "the connection was lost"
