"""What is sent on an upstream connection, and that what plays its partners has their methods."""

from inspect import signature
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.body import Body
from edgegw.exchange.replay import Replay
from edgegw.net.call import Call, Owner, Upload, UpstreamConnection
from edgegw.net.http2_upstream import Http2Upstream
from edgegw.net.upstream import Http1Upstream
from edgegw.upstream.pool import Pool
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Field


class CallTests(SynchronousTestCase):
    def test_it_keeps_what_it_is_told(self) -> None:
        heads: list[ResponseHead] = []
        fields: list[Field] = [(b"host", b"Host", b"a")]
        body = Body(3)
        call = Call("PUT", "/a?b", fields, body, 3, (1.5, 60.0), heads.append)
        self.assertEqual((call.method, call.target, call.length), ("PUT", "/a?b", 3))
        self.assertIs(call.fields, fields)
        self.assertIs(call.body, body)
        self.assertEqual((call.head_timeout_s, call.idle_timeout_s), (1.5, 60.0))
        self.assertIsNone(call.ended)
        head: Any = object()
        call.informational(head)
        self.assertEqual(heads, [head])

    def test_a_misspelt_attribute_is_an_error(self) -> None:
        """One is made per attempt: it has slots, and every one of them is set."""
        call: Any = Call("GET", "/", [], None, 0, (1.0, 1.0), lambda head: None)
        with self.assertRaises(AttributeError):
            call.idle_timeout = 1.0
        for name in Call.__slots__:
            getattr(call, name)


class ContractTests(SynchronousTestCase):
    def check(self, contract: Any, implementers: tuple[Any, ...]) -> None:
        names = [name for name in vars(contract) if not name.startswith("_")]
        self.assertTrue(names)
        for implementer in implementers:
            for name in names:
                if not callable(getattr(contract, name)):
                    self.assertTrue(hasattr(implementer, name), f"{implementer.__name__}.{name}")
                    continue
                wanted, found = signature(getattr(contract, name)), signature(getattr(implementer, name))
                self.assertEqual(list(wanted.parameters), list(found.parameters), f"{implementer.__name__}.{name}")

    def test_a_pool_owns_connections(self) -> None:
        self.check(Owner, (Pool,))

    def test_connections(self) -> None:
        self.check(UpstreamConnection, (Http1Upstream, Http2Upstream))

    def test_bodies_are_uploads(self) -> None:
        self.check(Upload, (Body, Replay))
