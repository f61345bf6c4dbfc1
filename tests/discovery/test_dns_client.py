"""Tests of edgegw.discovery.dns_client: questions over real sockets, to servers that misbehave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.trial.unittest import TestCase

from edgegw.discovery.dns_client import DnsClient, NoAnswer

reactor: Any = _reactor

Script = Callable[[dns.Message], list[dns.Message | bytes]]
"""What a server sends, one after the other, for a question."""


def reply(question: dns.Message, *addresses: str, code: int = dns.OK, **changes: Any) -> dns.Message:
    answer = dns.Message(question.id, answer=1, rCode=code, **changes)
    answer.queries = list(question.queries)
    name = question.queries[0].name.name.decode()
    answer.answers = [dns.RRHeader(name, dns.A, ttl=30, payload=dns.Record_A(each)) for each in addresses]
    return answer


class Udp(DatagramProtocol):
    noisy = False

    def __init__(self, script: Script) -> None:
        self.script = script
        self.questions = 0

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        question = dns.Message()
        question.fromStr(datagram)
        self.questions += 1
        for each in self.script(question):
            self.transport.write(each if isinstance(each, bytes) else each.toStr(), addr)


class Tcp(Int16StringReceiver):
    script: Script = staticmethod(lambda question: [])

    def stringReceived(self, string: bytes) -> None:
        question = dns.Message()
        question.fromStr(string)
        for each in self.script(question):
            data = each if isinstance(each, bytes) else each.toStr()
            whole = len(data).to_bytes(2, "big") + data
            for at in range(0, len(whole), 700):
                self.transport.write(whole[at : at + 700])  # type: ignore[union-attr]


class ClientTests(TestCase):
    """One question."""

    def server(self, script: Script, tcp: Script | None = None) -> tuple[str, int]:
        self.udp = Udp(script)
        number = 0
        if tcp is not None:
            factory = Factory.forProtocol(Tcp)
            factory.noisy = False
            self.patch(Tcp, "script", staticmethod(tcp))
            # TCP first: what the kernel gives out there is hardly ever taken over UDP, the other way round it is.
            listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
            self.addCleanup(listening.stopListening)
            number = listening.getHost().port
        port = reactor.listenUDP(number, self.udp, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        where = port.getHost()
        return where.host, where.port

    def closed(self) -> tuple[str, int]:
        port = reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")
        where = port.getHost()
        self.addCleanup(lambda: None)
        port.stopListening()
        return where.host, where.port

    async def addresses(self, *servers: tuple[str, int], timeout_s: float = 5.0) -> list[str]:
        answer = await DnsClient(reactor, lambda: servers, timeout_s).ask("u.example", dns.A)
        return [each.payload.dottedQuad() for each in answer.answers]

    async def wrong(self, *servers: tuple[str, int], timeout_s: float = 5.0) -> str:
        try:
            found = await self.addresses(*servers, timeout_s=timeout_s)
        except NoAnswer as error:
            return str(error)
        raise AssertionError(f"it answered {found}")

    async def test_answer(self) -> None:
        server = self.server(lambda question: [reply(question, "10.0.0.1", "10.0.0.2")])
        self.assertEqual(await self.addresses(server), ["10.0.0.1", "10.0.0.2"])

    async def test_nxdomain(self) -> None:
        server = self.server(lambda question: [reply(question, code=dns.ENAME)])
        answer = await DnsClient(reactor, lambda: [server], 5.0).ask("u.example", dns.A)
        self.assertFalse(answer.exists)

    async def test_servfail(self) -> None:
        server = self.server(lambda question: [reply(question, code=dns.ESERVER)])
        self.assertRegex(await self.wrong(server), "says SERVFAIL")
        for code, servfail in ((dns.ESERVER, True), (dns.EREFUSED, False)):
            server = self.server(lambda question, code=code: [reply(question, code=code)])
            with self.assertRaises(NoAnswer) as raised:
                await self.addresses(server)
            self.assertEqual(raised.exception.servfail, servfail)

    async def test_silence(self) -> None:
        server = self.server(lambda question: [])
        self.assertRegex(await self.wrong(server, timeout_s=0.1), r"name server 127.0.0.1:\d+ does not answer")
        self.assertEqual(self.udp.questions, 2)

    async def test_next_server(self) -> None:
        """A closed port is known at once, a silent one takes its share of the time, and one that fails says so."""
        right = self.server(lambda question: [reply(question, "10.0.0.1")])
        self.assertEqual(await self.addresses(self.closed(), right), ["10.0.0.1"])
        silent = self.server(lambda question: [])
        self.assertEqual(await self.addresses(silent, right, timeout_s=0.2), ["10.0.0.1"])
        failing = self.server(lambda question: [reply(question, code=dns.EREFUSED)])
        self.assertEqual(await self.addresses(failing, right), ["10.0.0.1"])

    async def test_lost_datagram(self) -> None:
        def second(question: dns.Message) -> list[dns.Message | bytes]:
            return [] if self.udp.questions == 1 else [reply(question, "10.0.0.1")]

        self.assertEqual(await self.addresses(self.server(second), timeout_s=0.2), ["10.0.0.1"])

    async def test_noise(self) -> None:
        """Other numbers, other questions, no answers, half messages: the right answer behind them is found."""

        def noisy(question: dns.Message) -> list[dns.Message | bytes]:
            other_id = reply(question, "6.6.6.6")
            other_id.id = question.id ^ 1
            other_name = reply(question, "6.6.6.6")
            other_name.queries = [dns.Query("evil.example", dns.A)]
            other_type = reply(question, "6.6.6.6")
            other_type.queries = [dns.Query("u.example", dns.AAAA)]
            no_answer = reply(question, "6.6.6.6")
            no_answer.answer = 0
            whole = reply(question, "6.6.6.6").toStr()
            loop = whole[:12] + b"\xc0\x0c" + whole[14:]
            odd: list[dns.Message | bytes] = [other_id, other_name, other_type, no_answer, whole[:20], b"", loop]
            return [*odd, reply(question, "10.0.0.1")]

        self.assertEqual(await self.addresses(self.server(noisy)), ["10.0.0.1"])

    async def test_truncated(self) -> None:
        """What does not fit into a datagram comes over TCP, in pieces."""
        many = [f"10.0.{number // 200}.{number % 200}" for number in range(900)]
        server = self.server(
            lambda question: [reply(question, "10.9.9.9", trunc=1)],
            lambda question: [reply(question, *many, maxSize=0)],
        )
        self.assertEqual(await self.addresses(server), many)

    async def test_truncated_and_no_tcp(self) -> None:
        server = self.server(lambda question: [reply(question, trunc=1)])
        self.assertRegex(await self.wrong(server), "cannot be reached over TCP")

    async def test_tcp_that_is_silent(self) -> None:
        server = self.server(lambda question: [reply(question, trunc=1)], lambda question: [])
        self.assertRegex(await self.wrong(server, timeout_s=0.2), "does not answer over TCP")

    async def test_tcp_with_something_else(self) -> None:
        server = self.server(lambda question: [reply(question, trunc=1)], lambda question: [b"x" * 40])
        self.assertRegex(await self.wrong(server), "answers over TCP what cannot be read")

    async def test_impossible_names(self) -> None:
        client = DnsClient(reactor, lambda: [("127.0.0.1", 1)], 1.0)
        for name in ("a..b", "x" * 64 + ".example", ".".join(["a" * 60] * 6)):
            with self.assertRaises(NoAnswer):
                await client.ask(name, dns.A)

    async def test_no_server(self) -> None:
        self.assertEqual(await self.wrong(), "there is no name server")

    async def test_cancelled(self) -> None:
        """Neither socket nor timer stays behind; trial would tell."""
        for tcp in (False, True):
            server = self.server(
                lambda question, tcp=tcp: [reply(question, trunc=1)] if tcp else [], lambda question: []
            )
            asking = Deferred.fromCoroutine(DnsClient(reactor, lambda server=server: [server], 30.0).ask("a.b", dns.A))
            pause: Deferred[None] = Deferred()
            reactor.callLater(0.05, pause.callback, None)
            await pause
            asking.cancel()
            with self.assertRaises(CancelledError):
                await asking
