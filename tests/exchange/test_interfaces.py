"""Tests of edgegw.exchange.interfaces: what is passed as a source or sink is one."""

from __future__ import annotations

from inspect import signature
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.interfaces import BodySink, BodySource
from edgegw.exchange.replay import Replay
from edgegw.net.downstream import Http1Downstream
from edgegw.net.http2_upstream_stream import UpstreamStream
from edgegw.net.upstream import Http1Upstream
from edgegw.testing.exchanges import Gathered


class ContractTests(SynchronousTestCase):
    def check(self, contract: Any, implementers: tuple[Any, ...]) -> None:
        names = [name for name in vars(contract) if not name.startswith("_")]
        self.assertTrue(names)
        for implementer in implementers:
            for name in names:
                wanted, found = signature(getattr(contract, name)), signature(getattr(implementer, name))
                self.assertEqual(len(wanted.parameters), len(found.parameters), f"{implementer.__name__}.{name}")

    def test_sources(self) -> None:
        self.check(BodySource, (Http1Downstream, Http1Upstream, UpstreamStream))

    def test_sinks(self) -> None:
        self.check(BodySink, (Http1Downstream, Http1Upstream, UpstreamStream, Replay, Gathered))
