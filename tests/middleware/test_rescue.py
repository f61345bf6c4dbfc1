"""Tests of edgegw.middleware.rescue."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import globalLogPublisher

from edgegw.errors import GatewayError
from edgegw.exchange.model import Response
from edgegw.middleware.rescue import Rescue
from edgegw.testing.exchanges import drain, make_exchange
from tests.middleware.running import Case, Target


class RescueTests(Case):
    def setUp(self) -> None:
        self.reasons: list[str] = []
        self.exchange = make_exchange()
        self.exchange.id = "id-7"

    def rescued(self, trouble: BaseException) -> tuple[Response, dict[str, object]]:
        response = self.respond(Rescue(Target(does=trouble), self.reasons.append), self.exchange)
        return response, json.loads(drain(response.body).data)

    def test_answers_pass(self) -> None:
        response = self.respond(Rescue(Target((b"X", b"1")), self.reasons.append), self.exchange)
        self.assertEqual((response.status, list(response.headers)), (200, [(b"X", b"1"), (b"X-Request-ID", b"id-7")]))
        self.assertEqual((self.reasons, self.exchange.failure), ([], None))

    def test_what_is_no_answer_is_a_bug(self) -> None:
        async def forgetful(_: object) -> None:
            return None

        made: Any = forgetful
        response = self.respond(Rescue(made, self.reasons.append), self.exchange)
        self.assertEqual((response.status, self.reasons), (500, ["internal_error"]))
        self.assertEqual(response.headers.get_all(b"x-request-id"), [b"id-7"])
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_the_id_replaces_what_an_answer_brings(self) -> None:
        target = Target((b"x-request-id", b"theirs"), (b"X", b"1"), (b"X-Request-Id", b"twice"))
        response = self.respond(Rescue(target, self.reasons.append), self.exchange)
        self.assertEqual(list(response.headers), [(b"X", b"1"), (b"X-Request-ID", b"id-7")])

    def test_a_refused_exchange_is_no_garbage(self) -> None:
        """It goes with its last reference, and does not wait for the collector, which comes seldom."""

        def refuse(_: object) -> None:
            try:
                raise KeyError("inside")
            except KeyError:
                raise GatewayError(503, "overloaded") from None

        self.respond(Rescue(Target(does=refuse), self.reasons.append), self.exchange)
        self.assertIsNotNone(self.exchange.failure)
        error = weakref.ref(self.exchange.failure)
        gc.disable()
        self.addCleanup(gc.enable)
        del self.exchange
        self.assertIsNone(error())

    def test_an_error_becomes_its_answer(self) -> None:
        error = GatewayError(405, "method_not_allowed", headers=[(b"Allow", b"GET")], close=True, detail="secret")
        response, document = self.rescued(error)
        self.assertEqual((response.status, response.close), (405, True))
        self.assertEqual(response.headers.get(b"allow"), b"GET")
        self.assertEqual((document["reason"], document["request_id"]), ("method_not_allowed", "id-7"))
        self.assertNotIn("secret", str(document))
        self.assertEqual((self.reasons, self.exchange.failure), (["method_not_allowed"], error))

    def test_the_request_id_is_on_it(self) -> None:
        response, _ = self.rescued(GatewayError(404, "no_route"))
        self.assertEqual(response.headers.get_all(b"x-request-id"), [b"id-7"])

    def test_none_to_tell_before_there_is_one(self) -> None:
        self.exchange.id = ""
        response, _ = self.rescued(GatewayError(404, "no_route"))
        self.assertNotIn(b"x-request-id", response.headers)

    def test_a_bug_is_logged_with_the_id_and_told_to_nobody(self) -> None:
        events: list[dict[str, object]] = []
        globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, events.append)  # type: ignore[arg-type]
        response, document = self.rescued(ZeroDivisionError("inside"))
        self.assertEqual((response.status, document["reason"]), (500, "internal_error"))
        self.assertNotIn("inside", str(document))
        self.assertEqual(self.reasons, ["internal_error"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual([event["request_id"] for event in events if "log_failure" in event], ["id-7"])

    def test_a_downstream_peer_that_left_is_no_bug(self) -> None:
        response, _ = self.rescued(CancelledError())
        self.assertEqual((response.status, self.reasons), (499, ["downstream_left"]))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_ends_the_process_passes(self) -> None:
        def stop(_: object) -> None:
            raise KeyboardInterrupt

        async def run() -> Response:
            return await Rescue(Target(does=stop), self.reasons.append)(self.exchange)

        self.assertRaises(KeyboardInterrupt, run().send, None)
