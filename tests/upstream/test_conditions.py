"""Tests of edgegw.upstream.conditions: which errors and answers the words mean."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.model import Response
from edgegw.upstream.conditions import CODES, WORDS, Conditions, read_condition
from edgegw.wire.headers import Headers


def error(reason: str, phase: Phase, retry: Retry, status: int = 502, side: Side = Side.UPSTREAM) -> GatewayError:
    return GatewayError(status, reason, side=side, phase=phase, retry=retry)


CONNECT, HEAD = Phase.CONNECT, Phase.RESPONSE_HEAD
ALWAYS, IDEMPOTENT, NEVER = Retry.ALWAYS, Retry.IF_IDEMPOTENT, Retry.NEVER

# What ended it, under which words it is tried again if that does no harm, and which if it might.
ERRORS = [
    (error("connect_refused", CONNECT, ALWAYS), {"connect", "refused"}, {"connect", "refused"}),
    (error("connect_timeout", CONNECT, ALWAYS), {"connect"}, {"connect"}),
    (error("connect_failed", CONNECT, ALWAYS), {"connect"}, {"connect"}),
    (error("resolve_failed", CONNECT, ALWAYS), {"connect"}, {"connect"}),
    (error("upstream_tls", CONNECT, ALWAYS), {"connect"}, {"connect"}),
    (error("upstream_not_http2", CONNECT, ALWAYS), {"connect"}, {"connect"}),
    (error("upstream_closed", CONNECT, ALWAYS), {"connect"}, {"connect"}),
    (error("pool_queue_full", CONNECT, NEVER, side=Side.GATEWAY), set(), set()),
    (error("upstream_refused_stream", CONNECT, ALWAYS), {"refused_stream"}, {"refused_stream"}),
    (error("upstream_refused_stream", HEAD, ALWAYS), {"refused_stream"}, {"refused_stream"}),
    (error("upstream_closed", HEAD, IDEMPOTENT), {"reset"}, set()),
    (error("upstream_reset", HEAD, IDEMPOTENT), {"reset"}, set()),
    (error("upstream_ping_timeout", HEAD, IDEMPOTENT), {"reset"}, set()),
    # Some of the head had come.
    (error("upstream_closed", HEAD, NEVER), set(), set()),
    (error("upstream_aborted", Phase.RESPONSE_BODY, NEVER), set(), set()),
    (error("upstream_head_timeout", HEAD, NEVER, 504), {"timeout"}, set()),
    (error("upstream_send_timeout", HEAD, NEVER, 504), {"timeout"}, set()),
    (error("try_timeout", HEAD, IDEMPOTENT, 504), {"timeout"}, set()),
    (error("try_timeout", CONNECT, ALWAYS, 504), {"timeout"}, {"timeout"}),
    (error("bad_status_line", HEAD, NEVER), {"garbage"}, set()),
    (error("total_timeout", Phase.POLICY, NEVER, 504, Side.GATEWAY), set(), set()),
    (error("body_too_large", Phase.BODY, NEVER, 413, Side.DOWNSTREAM), set(), set()),
    (error("unsafe_head", Phase.SEND, NEVER, 500, Side.GATEWAY), set(), set()),
]


class ErrorTests(SynchronousTestCase):
    def test_table(self) -> None:
        for each, repeated, once in ERRORS:
            for repeatable, wanted in ((True, repeated), (False, once)):
                met = {word for word in WORDS if Conditions([word]).of_error(each, repeatable)}
                self.assertEqual(met, wanted, (each, each.retry, repeatable))

    def test_nothing_named(self) -> None:
        for each, _, __ in ERRORS:
            self.assertFalse(Conditions([]).of_error(each, True), each)


class AnswerTests(SynchronousTestCase):
    def met(self, on: list[str], status: int, body: Body = EMPTY, code: bytes = b"", repeatable: bool = True) -> str:
        fields = [(b"grpc-status", b"grpc-status", code)] if code else []
        return Conditions(on).of_answer(Response(status, Headers(fields), body), repeatable)

    def test_statuses(self) -> None:
        for on, met in (
            (["503"], {503}), (["502-504"], {502, 503, 504}), (["gateway_error"], {502, 503, 504}),
            (["5xx"], set(range(500, 600))), (["4xx", "500"], {*range(400, 500), 500}), (["reset"], set()),
        ):  # fmt: skip
            found = {status for status in range(200, 600) if self.met(on, status)}
            self.assertEqual(found, met, on)
            self.assertEqual({status for status in met if self.met(on, status, repeatable=False)}, set())
        self.assertEqual(self.met(["5xx"], 503), "status_503")

    def test_codes(self) -> None:
        """Of calls without a message, whatever their method is; not of those that said something."""
        self.assertEqual(self.met(["unavailable"], 200, code=b"14", repeatable=False), "grpc_unavailable")
        self.assertEqual(self.met(["unavailable"], 200, code=b"13"), "")
        self.assertEqual(self.met(["internal", "unavailable"], 200, code=b"13"), "grpc_internal")
        self.assertEqual(self.met(["unavailable"], 200), "")
        self.assertEqual(self.met(["unavailable"], 200, Body.of(b"x"), b"14"), "")
        self.assertEqual(self.met(["unavailable"], 200, Body(None), b"14"), "")

    def test_whether_answers_are_looked_at(self) -> None:
        self.assertFalse(Conditions(["connect", "reset", "refused_stream", "timeout", "garbage"]).judges)
        self.assertTrue(Conditions(["503"]).judges)
        self.assertTrue(Conditions(["unavailable"]).judges)


class ReadTests(SynchronousTestCase):
    def test_what_is_read(self) -> None:
        for value in (*WORDS, *CODES, "5xx", "4xx", "503", "500-504"):
            self.assertEqual(read_condition(value), value)
        self.assertEqual(read_condition(503), "503")

    def test_what_is_not(self) -> None:
        for value, says in (
            ("rest", 'did you mean reset?'), ("Unavailable", "did you mean unavailable?"), ("5XX", "must be a status"),
            ("zzz", "there are connect, refused"), (200, "is not an error"), ("504-502", "write 502-504"),
            ("6xx", "must be a status"), (True, "must be a condition"), (None, "must be a condition"), ("ok", "no condition"),
            ("500-600", "is not an error"), ("302", "is not an error"),
        ):  # fmt: skip
            with self.assertRaises(ValueError, msg=value) as caught:
                read_condition(value)
            self.assertIn(says, str(caught.exception))
