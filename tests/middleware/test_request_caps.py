"""Tests of edgegw.middleware.request_caps."""

from __future__ import annotations

from typing import Any, cast

from edgegw.errors import Side
from edgegw.exchange.body import Body
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Response
from edgegw.middleware.request_caps import REQUEST_CAPS, RequestCapsSettings
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import drain, make_exchange
from tests.middleware.running import Case, Target


class RequestCapsTests(Case):
    def layer(self, limit: str, target: Target) -> Responder:
        return REQUEST_CAPS.build(RequestCapsSettings.model_validate({"body_limit": limit}), cast(Any, None))(target)

    def test_a_declared_length_is_refused_before_anything_is_read(self) -> None:
        source, target = Source(), Target()
        error = self.refuse(self.layer("1KiB", target), make_exchange("POST", body=Body(1025, source)))
        self.assertEqual(
            (error.status, error.reason, error.side, error.close), (413, "body_too_large", Side.DOWNSTREAM, True)
        )
        self.assertEqual((target.seen, source.told), ([], []))

    def test_exactly_the_limit_passes(self) -> None:
        self.assertEqual(self.respond(self.layer("1KiB", Target()), make_exchange("POST", body=Body(1024))).status, 200)

    def test_none(self) -> None:
        self.assertEqual(self.respond(self.layer("0B", Target()), make_exchange()).status, 200)
        self.refuse(self.layer("0B", Target()), make_exchange("POST", body=b"x"))

    def test_a_chunked_body_is_cut_at_the_byte_too_many(self) -> None:
        source = Source()
        body = Body(None, source)
        self.respond(self.layer("10B", Target()), make_exchange("POST", body=body))
        sink = drain(body)
        body.write(b"x" * 10)
        self.assertIsNone(sink.error)
        body.write(b"x")
        assert sink.error is not None
        self.assertEqual((sink.error.status, sink.error.close, len(sink.data)), (413, True, 10))
        self.assertEqual(source.told, ["start", "cancel"])

    def test_the_body_streams_on(self) -> None:
        body = Body(None)
        seen: list[bytes] = []

        def reads(exchange: Any) -> Response:
            sink = drain(exchange.request.body)
            body.write(b"abc")
            seen.append(sink.data)
            return Response(200)

        self.respond(self.layer("10B", Target(does=reads)), make_exchange("POST", body=body))
        self.assertEqual(seen, [b"abc"])

    def test_not_for_calls(self) -> None:
        """A call is a stream of messages; their own size is limited."""
        body = Body(None)
        exchange = make_exchange("POST", headers=[(b"Content-Type", b"application/grpc")], body=body)
        self.respond(self.layer("10B", Target()), exchange)
        sink = drain(body)
        body.write(b"x" * 100)
        self.assertIsNone(sink.error)
        for kind in (b"application/grpc-web", b"application/grpcx"):
            declared = make_exchange("POST", headers=[(b"Content-Type", kind)], body=Body(11))
            self.assertEqual(self.refuse(self.layer("10B", Target()), declared).status, 413)
