"""Questions to name servers: the messages of twisted.names on sockets of our own.

A connected UDP socket takes answers from nobody else, learns at once that a port is closed, and leaves neither timer nor line in
the log behind, as the client of twisted.names does. A truncated answer is asked for again over TCP (RFC 7766).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone, TimeoutError
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.names import dns
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.discovery.resolv_conf import Server
from edgegw.net.endpoints import connect
from edgegw.net.sockets import TcpPlace

_LARGEST = 65_535


class NoAnswer(Exception):
    """No server answered with something usable: silence, SERVFAIL, REFUSED. The text is for operators.

    servfail: whether they answered, and the last answer was SERVFAIL: that may be the trouble of this name alone.
    """

    def __init__(self, words: str, servfail: bool = False) -> None:
        super().__init__(words)
        self.servfail = servfail


class Answer(NamedTuple):
    """exists: whether there is such a name (not NXDOMAIN). answers, additional: the records of these sections."""

    exists: bool
    answers: Sequence[dns.RRHeader]
    additional: Sequence[dns.RRHeader]


class DnsClient:
    """Asks servers in their order until one answers.

    Args:
        reactor: for sockets and time. servers: as they are now. timeout_s: for one question, all servers and attempts together.
        pick_id: a number below 65536 that nobody can guess.
    """

    def __init__(
        self,
        reactor: Any,
        servers: Callable[[], Sequence[Server]],
        timeout_s: float,
        pick_id: Callable[[], int] = dns.randomSource,
    ) -> None:
        self._reactor = reactor
        self._servers = servers
        self._timeout_s = timeout_s
        self._pick_id = pick_id

    async def ask(self, name: str, kind: int) -> Answer:
        """Ask for the records of one type, `dns.A` and the like.

        Raises:
            NoAnswer: nobody answered in time, or nobody knew.
        """
        servers = self._servers()
        wrong, code = "there is no name server", dns.OK
        try:
            query = dns.Query(name.encode("idna"), kind, dns.IN)
        except UnicodeError:
            raise NoAnswer(f"{name} cannot be a name") from None
        until_s = self._reactor.seconds() + self._timeout_s
        # Datagrams get lost: each server is asked twice.
        attempts = [*servers, *servers]
        for tried, server in enumerate(attempts):
            left_s = until_s - self._reactor.seconds()
            if left_s <= 0:
                break
            try:
                message = await self._exchange(server, query, left_s / (len(attempts) - tried), left_s)
            except _Silent as error:
                wrong = f"{_shown(server)} {error}"
                continue
            if message.rCode in (dns.OK, dns.ENAME):
                return Answer(message.rCode == dns.OK, message.answers, message.additional)
            code = message.rCode
            wrong = f"{_shown(server)} says {_CODES.get(code, f'code {code}')}"
        raise NoAnswer(wrong, code == dns.ESERVER)

    async def _exchange(self, server: Server, query: dns.Query, share_s: float, left_s: float) -> dns.Message:
        question = dns.Message(self._pick_id(), recDes=1)
        question.queries = [query]
        message = await _Datagram(self._reactor, server, question, share_s).answered
        if not message.trunc:
            return message
        stream = _Stream(question)
        factory = _Factory(stream)
        timer = self._reactor.callLater(left_s, stream.give_up, "does not answer over TCP")
        connecting = connect(self._reactor, TcpPlace(*server), factory, timeout_s=left_s)
        try:
            await connecting
            return await stream.answered
        except (ConnectError, OSError, TimeoutError) as error:
            raise _Silent(f"cannot be reached over TCP: {error}") from None
        finally:
            stream.close()
            if timer.active():
                timer.cancel()


class _Silent(Exception):
    """This server did not answer this time."""


def _fits(message: dns.Message, question: dns.Message) -> bool:
    if message.id != question.id or not message.answer or len(message.queries) != 1:
        return False
    asked, echoed = question.queries[0], message.queries[0]
    return bool(echoed.type == asked.type and echoed.name.name.lower() == asked.name.name.lower())


def _parsed(data: bytes) -> dns.Message | None:
    message = dns.Message()
    try:
        message.fromStr(data)
    except Exception:
        # The decoder raises whatever a broken message makes it raise.
        return None
    return message


@implementer(IReadDescriptor)
class _Datagram:
    """One question over UDP; `answered` fires with the message, or fails with _Silent. Cancelling it closes the socket."""

    def __init__(self, reactor: Any, server: Server, question: dns.Message, timeout_s: float) -> None:
        self.answered: Deferred[dns.Message] = Deferred(lambda _: self._close())
        self._reactor = reactor
        self._question = question
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._timer = reactor.callLater(timeout_s, self._fail, "does not answer")
        try:
            self._socket.connect(server)
            self._socket.send(question.toStr())
        except OSError as error:
            self._fail(f"cannot be asked: {error.strerror}")
            return
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "dns"

    def doRead(self) -> None:
        try:
            data = self._socket.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(f"cannot be asked: {(error.strerror or str(error)).lower()}")
            return
        message = _parsed(data)
        # Anything else is noise, and the timer runs on.
        if message is not None and _fits(message, self._question):
            self._close()
            self.answered.callback(message)

    def connectionLost(self, reason: Failure) -> None:
        self._fail("cannot be asked: the gateway stops")

    def _fail(self, words: str) -> None:
        self._close()
        if not self.answered.called:
            self.answered.errback(_Silent(words))

    def _close(self) -> None:
        if self._timer.active():
            self._timer.cancel()
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()


class _Stream(Protocol):
    """The same question over TCP: each message behind its length in two bytes (RFC 1035 4.2.2)."""

    def __init__(self, question: dns.Message) -> None:
        self.answered: Deferred[dns.Message] = Deferred(lambda _: self.close())
        self._question = question
        self._buffer = b""

    def connectionMade(self) -> None:
        data = self._question.toStr()
        assert self.transport is not None
        self.transport.write(len(data).to_bytes(2, "big") + data)

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        size = int.from_bytes(self._buffer[:2], "big")
        if len(self._buffer) < 2 + size or len(self._buffer) < 2 or self.answered.called:
            return
        message = _parsed(self._buffer[2 : 2 + size])
        if message is None or not _fits(message, self._question):
            self.give_up("answers over TCP what cannot be read, or something else")
        else:
            self.answered.callback(message)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:
        self.give_up("closed the connection")

    def give_up(self, words: str) -> None:
        """It has not answered, and need not any more."""
        if not self.answered.called:
            self.answered.errback(_Silent(words))

    def close(self) -> None:
        """End the connection, if there is one."""
        # What nobody waits for any more must not be logged as an error nobody handled.
        self.answered.addErrback(lambda _: None)
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]


class _Factory(ClientFactory):
    noisy = False

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def buildProtocol(self, addr: object) -> _Stream:
        return self._stream


_CODES = {dns.EFORMAT: "FORMERR", dns.ESERVER: "SERVFAIL", dns.ENOTIMP: "NOTIMP", dns.EREFUSED: "REFUSED"}


def _shown(server: Server) -> str:
    host = f"[{server[0]}]" if ":" in server[0] else server[0]
    return f"name server {host}:{server[1]}"
