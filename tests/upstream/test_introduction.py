"""Tests of edgegw.upstream.introduction: what an upstream is told about the downstream connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.model import Exchange
from edgegw.testing.exchanges import FakeConnection, make_exchange
from edgegw.upstream.introduction import ProxyVersion, introduction, self_introduction
from edgegw.wire.proxy_header import ProxyAddress, ProxyHeader
from edgegw.wire.proxy_protocol import ProxyReader


def read(data: bytes) -> ProxyHeader:
    reader = ProxyReader()
    found = reader.receive(data)
    assert isinstance(found, ProxyHeader) and not reader.rest, found
    return found


class IntroductionTests(SynchronousTestCase):
    def exchange(self, **attributes: Any) -> Exchange:
        connection = FakeConnection(attributes.pop("tls", None))
        for name, value in attributes.items():
            setattr(connection, name, value)
        exchange = make_exchange(connection=connection)
        exchange.id = "request-1"
        return exchange

    def test_version_1(self) -> None:
        self.assertEqual(introduction("v1", self.exchange()), b"PROXY TCP4 192.0.2.1 192.0.2.254 50000 80\r\n")
        six = self.exchange(peer="2001:db8::1", local_host="2001:db8::2")
        self.assertEqual(introduction("v1", six), b"PROXY TCP6 2001:db8::1 2001:db8::2 50000 80\r\n")

    def test_version_2(self) -> None:
        header = read(introduction("v2", self.exchange()))
        self.assertEqual(header[:4], (2, False, ProxyAddress("192.0.2.1", 50000), ProxyAddress("192.0.2.254", 80)))
        self.assertEqual((header.authority, header.unique_id, header.ssl), (None, b"request-1", None))

    def test_the_name_that_was_asked_for(self) -> None:
        for name, expected in (("shop.example.com", "shop.example.com"), (None, None)):
            header = read(introduction("v2", self.exchange(tls=SimpleNamespace(server_name=name))))
            self.assertEqual(header.authority, expected)

    def test_the_connection_is_meant_not_who_a_header_field_speaks_of(self) -> None:
        exchange = self.exchange()
        exchange.client = "203.0.113.9"
        header = read(introduction("v2", exchange))
        self.assertEqual(str(header.source), "192.0.2.1:50000")

    def test_nothing_to_tell_of_unix_sockets(self) -> None:
        exchange = self.exchange(peer="", peer_port=0, local_host="", local_port=0)
        self.assertEqual(introduction("v1", exchange), b"PROXY UNKNOWN\r\n")
        self.assertEqual(read(introduction("v2", exchange))[:4], (2, False, None, None))

    def test_of_the_gateway_itself(self) -> None:
        self.assertEqual(self_introduction("v1"), b"PROXY UNKNOWN\r\n")
        self.assertEqual(read(self_introduction("v2")), ProxyHeader(2, True, None, None))

    def test_an_id_that_does_not_fit_is_left_out(self) -> None:
        exchange = self.exchange()
        for name, expected in (("x" * 128, b"x" * 128), ("x" * 129, None), ("", None)):
            exchange.id = name
            self.assertEqual(read(introduction("v2", exchange)).unique_id, expected)

    def test_mixed_families(self) -> None:
        """A PROXY header before us may have said so."""
        versions: tuple[ProxyVersion, ...] = ("v1", "v2")
        for version in versions:
            header = read(introduction(version, self.exchange(peer="2001:db8::1")))
            assert header.source is not None
            self.assertEqual(header.source.host, "2001:db8::1")
