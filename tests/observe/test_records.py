"""An ended exchange becomes one line that says what happened and cannot be forged."""

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Side
from edgegw.exchange.body import EMPTY
from edgegw.exchange.model import Exchange, Outcome, Request
from edgegw.observe.records import FIELDS, ConsoleRecords, JsonRecords, reason_flag, shown_status, trace_id
from edgegw.observe.shapes import ExchangeShape, OutcomeShape
from edgegw.wire.events import RequestHead
from edgegw.wire.headers import Headers

NOON = 1_790_000_000.0625
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TLS = SimpleNamespace(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", server_name="api.example.com")


def exchange(
    path: str = "/users/17",
    query: str | None = None,
    authority: bytes = b"api.example.com",
    headers: tuple[tuple[bytes, bytes], ...] = (),
    tls: Any = None,
) -> Exchange:
    target = path if query is None else f"{path}?{query}"
    head = RequestHead(
        "GET", target, path, query, authority, "api.example.com", None, "1.1", Headers.of(headers), 0, True
    )
    connection: Any = SimpleNamespace(peer="10.1.2.3", peer_port=1, local_port=443, tls=tls, listener=None)
    made = Exchange(head, Request(head, "https" if tls else "http", EMPTY), connection, None, 100.0)
    made.id = "0f3a"
    return made


def proxied() -> Exchange:
    made = exchange("/users/17", "page=2&token=abc", headers=((b"User-Agent", b"curl/8"), (b"Referer", b"https://a.example/?code=1"),
                                                              (b"Traceparent", TRACE)), tls=TLS)  # fmt: skip
    made.client = "203.0.113.9"
    made.route = SimpleNamespace(name="users")
    made.upstream, made.endpoint, made.attempts = "users", "http://10.0.0.11:9000", 2
    made.connect_s, made.upstream_head_s, made.upstream_end_s = 0.001, 0.011, 0.012
    return made


def record(made: Exchange, outcome: Outcome, duration_s: float = 0.0125) -> dict[str, Any]:
    line = JsonRecords(lambda: NOON)(made, outcome, duration_s)
    assert line.endswith(b"}\n") and line.count(b"\n") == 1, line
    return json.loads(line)  # type: ignore[no-any-return]


OK = Outcome(200, True, 3, 125, None)


class JsonRecordsTests(SynchronousTestCase):
    def test_a_proxied_exchange_has_every_field_in_the_documented_order(self) -> None:
        self.assertEqual(list(record(proxied(), OK)), list(FIELDS))

    def test_its_values(self) -> None:
        self.assertEqual(
            record(proxied(), OK),
            {
                "time": "2026-09-21T14:13:20.062Z", "request_id": "0f3a", "client": "203.0.113.9", "peer": "10.1.2.3",
                "method": "GET", "scheme": "https", "host": "api.example.com", "path": "/users/17", "protocol": "HTTP/1.1",
                "status": 200, "bytes_in": 3, "bytes_out": 125, "duration_ms": 12.5, "complete": True, "flag": "",
                "query": "page=2&token=***", "upstream": "users", "endpoint": "http://10.0.0.11:9000", "retries": 1,
                "connect_ms": 1.0, "upstream_ms": 11.0, "upstream_head_ms": 11.0, "gateway_ms": 1.5, "user_agent": "curl/8",
                "referer": "https://a.example/?code=***", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                "tls_version": "TLSv1.3", "tls_cipher": "TLS_AES_256_GCM_SHA384", "tls_sni": "api.example.com", "route": "users",
            },
        )  # fmt: skip

    def test_a_bare_exchange_leaves_out_what_does_not_apply(self) -> None:
        made = record(exchange(), OK)
        self.assertEqual(made["route"], "")
        self.assertEqual(made["gateway_ms"], made["duration_ms"])
        for name in ("query", "upstream", "endpoint", "retries", "user_agent", "referer", "trace_id", "tls_version"):
            self.assertNotIn(name, made)

    def test_an_upstream_that_never_ended_took_until_the_end(self) -> None:
        made = proxied()
        made.upstream_end_s = -1.0
        self.assertEqual(record(made, OK)["upstream_ms"], 11.5)

    def test_an_upstream_without_a_connection_took_no_time(self) -> None:
        made = proxied()
        made.connect_s = made.upstream_head_s = made.upstream_end_s = -1.0
        shown = record(made, OK)
        self.assertEqual((shown["retries"], shown["gateway_ms"]), (1, 12.5))
        self.assertNotIn("upstream_ms", shown)

    def test_hostile_values_stay_values(self) -> None:
        made = exchange(
            '/a\n{"time":"x"}\r\x00\x1b', "q=\u2028\n", b'x"\xff\n', ((b"User-Agent", b"a\nb\xe2\x80\xa8\xc2\x85"),)
        )
        shown = record(made, OK)
        self.assertEqual(shown["path"], '/a\n{"time":"x"}\r\x00\x1b')
        self.assertEqual(shown["user_agent"], "a\\x0ab\\u2028\\x85")

    @given(st.text(), st.text(), st.binary(), st.binary())
    def test_whatever_comes_is_one_json_object_on_one_line(
        self, path: str, query: str, host: bytes, agent: bytes
    ) -> None:
        made = exchange("/" + path, query, host, ((b"User-Agent", agent), (b"Referer", agent), (b"Traceparent", agent)))
        line = JsonRecords(lambda: NOON)(made, OK, 0.1)
        self.assertEqual(len(line.decode().splitlines()), 1)
        self.assertIsInstance(json.loads(line), dict)

    def test_lone_surrogates_are_shown_escaped(self) -> None:
        made = exchange("/\ud800")
        made.id = "\udfff"
        shown = record(made, OK)
        self.assertEqual((shown["path"], shown["request_id"], shown["status"]), ("/\\ud800", "\\udfff", 200))

    def test_long_values_are_cut(self) -> None:
        made = exchange(
            "/" + "p" * 9000, "q=" + "x" * 9000, b"h" * 900, ((b"User-Agent", b"u" * 9000), (b"Referer", b"r" * 9000))
        )
        line = JsonRecords(lambda: NOON)(made, OK, 0.1)
        self.assertLess(len(line), 6500)
        self.assertTrue(json.loads(line)["path"].endswith("p..."))

    def test_a_secret_that_is_cut_off_is_still_masked(self) -> None:
        made = exchange("/", "a=" + "x" * 2030 + "&token=abcdefghijklm")
        self.assertNotIn("abc", record(made, OK)["query"])

    def test_the_target_of_a_rejected_head_is_shown_without_its_query(self) -> None:
        made = exchange("")
        made.head.target = "/%zz?token=abc"
        self.assertEqual(record(made, OK)["path"], "/%zz")

    def test_routes_do_not_mix(self) -> None:
        encode = JsonRecords(lambda: NOON)
        made = proxied()
        for name in ("a", "b", 'c"\n', "a"):
            made.route = SimpleNamespace(name=name)
            self.assertEqual(json.loads(encode(made, OK, 0.1))["route"], name.replace("\n", "\\x0a"))

    def test_time_moves_with_the_wall_clock(self) -> None:
        times = iter([0.0, 0.9999, 59.5, 86400.0])
        encode = JsonRecords(lambda: next(times))
        shown = [json.loads(encode(exchange(), OK, 0.1))["time"] for _ in range(4)]
        self.assertEqual(
            shown,
            [
                "1970-01-01T00:00:00.000Z",
                "1970-01-01T00:00:00.999Z",
                "1970-01-01T00:00:59.500Z",
                "1970-01-02T00:00:00.000Z",
            ],
        )


class EndingTests(SynchronousTestCase):
    def test_status(self) -> None:
        left = GatewayError(408, "head_timeout")
        self.assertEqual(shown_status(Outcome(200, False, 0, 0, left)), 200)
        self.assertEqual(shown_status(Outcome(0, False, 0, 0, left)), 408)
        self.assertEqual(shown_status(Outcome(0, False, 0, 0, None)), 499)

    def test_one_flag(self) -> None:
        made = exchange()
        self.assertEqual(reason_flag(made, OK), "")
        torn = Outcome(200, False, 0, 0, None)
        self.assertEqual(reason_flag(made, torn), "incomplete")
        made.failure = GatewayError(502, "connect_refused", side=Side.UPSTREAM)
        self.assertEqual(reason_flag(made, OK), "connect_refused")
        torn.error = GatewayError(499, "downstream_left")
        self.assertEqual(reason_flag(made, torn), "downstream_left")
        made.flag = "too_slow"
        self.assertEqual(reason_flag(made, torn), "too_slow")

    def test_trace_id_of_valid_headers_only(self) -> None:
        self.assertEqual(trace_id(TRACE), "4bf92f3577b34da6a3ce929d0e0e4736")
        for wrong in (
            b"",
            b"x",
            TRACE.upper(),
            b"ff" + TRACE[2:],
            TRACE[:40],
            b"00-" + b"0" * 32 + TRACE[35:],
            TRACE + b"\n{",
        ):
            self.assertEqual(trace_id(wrong), "", wrong)

    def test_the_models_have_the_shapes(self) -> None:
        made: ExchangeShape = proxied()
        outcome: OutcomeShape = OK
        self.assertTrue(made and outcome)


class ConsoleRecordsTests(SynchronousTestCase):
    def test_a_line_for_people(self) -> None:
        line = ConsoleRecords(lambda: NOON)(
            proxied(), Outcome(502, True, 0, 9, GatewayError(502, "reset")), 0.0125
        ).decode()
        self.assertEqual(
            line,
            "14:13:20.062 502 GET api.example.com/users/17?page=2&token=*** 12.5 ms 9 B -> users http://10.0.0.11:9000 10.0 ms "
            "2 attempts [reset] (route users, 203.0.113.9, 0f3a)\n",
        )

    @given(st.text(), st.text(), st.binary())
    def test_whatever_comes_stays_on_one_line_and_drives_no_terminal(self, path: str, query: str, host: bytes) -> None:
        line = ConsoleRecords(lambda: NOON)(exchange("/" + path, query, host), OK, 0.1).decode()
        self.assertEqual(line[-1], "\n")
        self.assertTrue(line[:-1].isprintable())
