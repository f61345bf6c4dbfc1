"""Tests of edgegw.targets.proxy: which fields of a request are sent on, and what is added."""

from __future__ import annotations

from typing import Any

from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import answer, refused
from edgegw.upstream.retry import RetrySettings
from edgegw.upstream.settings import UpstreamTimeouts
from tests.targets.test_proxy import Case, nothing


class FieldTests(Case):
    def sent(self, method: str = "GET", host: str = "preserve", **more: Any) -> list[tuple[bytes, bytes]]:
        self.proxy([answer()], host=host)
        self.ask(method, **more)
        return self.origins[0].requests[0].fields

    def test_order_and_spelling_are_kept_and_via_is_added(self) -> None:
        sent = self.sent(headers=[(b"X-one", b"1"), (b"accept", b"*/*"), (b"X-ONE", b"2")])
        self.assertEqual(
            sent,
            [
                (b"Host", b"example.com"), (b"X-one", b"1"), (b"accept", b"*/*"), (b"X-ONE", b"2"), (b"Via", b"1.1 edgegw")
            ],
        )  # fmt: skip

    def test_fields_for_one_hop_stay_here(self) -> None:
        sent = self.sent(
            headers=[
                (b"Connection", b"keep-alive, X-Hop"), (b"X-Hop", b"1"), (b"Keep-Alive", b"5"), (b"Upgrade", b"h2c"),
                (b"HTTP2-Settings", b"AAM"), (b"Proxy-Connection", b"keep-alive"), (b"Proxy-Authorization", b"Basic x"),
                (b"TE", b"gzip"), (b"Trailer", b"X-Sum"), (b"X-End", b"2"),
            ]
        )  # fmt: skip
        self.assertEqual([name for name, _ in sent], [b"Host", b"X-End", b"Via"])

    def test_te_trailers_is_passed_on(self) -> None:
        sent = self.sent(headers=[(b"TE", b"trailers"), (b"Connection", b"TE")])
        self.assertEqual(sent[1:], [(b"TE", b"trailers"), (b"Connection", b"TE"), (b"Via", b"1.1 edgegw")])

    def test_host(self) -> None:
        for rule, wanted in (("preserve", b"Example.com:8080"), ("upstream", b"origin-0"), ("in.side:1", b"in.side:1")):
            sent = self.sent(host=rule, url="http://Example.com:8080/")
            self.assertEqual([value for name, value in sent if name == b"Host"], [wanted])

    def test_a_rewritten_host_wins(self) -> None:
        for rule in ("preserve", "upstream", "in.side"):
            self.proxy([answer()], host=rule)
            exchange = make_exchange()
            exchange.request.authority = b"re.written"
            self.start(exchange)
            sent = self.origins[0].requests[0].fields
            self.assertEqual([value for name, value in sent if name.lower() == b"host"], [b"re.written"])

    def test_http10_without_host(self) -> None:
        self.proxy([answer()])
        exchange = make_exchange(version="1.0")
        exchange.request.headers.remove(b"host")
        exchange.request.authority = exchange.head.authority = b""
        self.start(exchange)
        self.assertEqual(self.origins[0].requests[0].fields, [(b"Host", b"origin-0"), (b"Via", b"1.0 edgegw")])

    def test_framing_is_our_own(self) -> None:
        lies = [(b"Content-Length", b"7"), (b"Transfer-Encoding", b"chunked"), (b"Expect", b"100-continue")]
        names = {name for name, _ in self.sent(headers=lies)}
        self.assertEqual(names, {b"Host", b"Via"})
        sent = dict(self.sent("POST", body=b"abc", headers=lies))
        self.assertEqual(sent, {b"Host": b"example.com", b"Content-Length": b"3", b"Via": b"1.1 edgegw"})
        self.assertEqual(self.origins[0].requests[0].body, b"abc")

    def test_methods_with_content_say_that_there_is_none(self) -> None:
        for method in ("POST", "PUT", "PATCH"):
            self.assertIn((b"Content-Length", b"0"), self.sent(method))
        for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
            self.assertNotIn(b"Content-Length", dict(self.sent(method)))

    def test_get_with_a_body(self) -> None:
        self.assertIn((b"Content-Length", b"3"), self.sent("GET", body=b"abc"))
        self.assertEqual(self.origins[0].requests[0].body, b"abc")

    def test_a_loop_is_noticed(self) -> None:
        others = [(b"Via", b"1.1 fred"), (b"Via", b"1.1 edgegw, 1.0 edgegw, 1.1 fred, 2 edgegw, 1.1 edgegw")]
        self.sent(headers=others)
        self.proxy([answer()])
        error = self.fails(headers=[*others, (b"Via", b"1.1 edgegw")])
        self.assertEqual((error.status, error.reason), (508, "loop_detected"))
        self.assertEqual((self.origins[0].attempts, self.in_flight()), (0, [0]))


class DeadlineTests(Case):
    """The time that is left, for upstreams that ask for it."""

    def sent(
        self, deadline_s: float | None, came: bytes = b"", per_try: Any = None, header: str | None = "X-Left-Ms"
    ) -> Any:
        self.retry = RetrySettings.model_validate({"per_try": per_try})
        self.proxy([], [answer()], timeouts=UpstreamTimeouts(deadline_header=header))
        self.origins[0].faults = [refused()]
        exchange = make_exchange(headers=[(b"x-left-ms", came)] if came else [])
        exchange.deadline_s = deadline_s
        self.turn(1)
        self.start(exchange)
        self.turn()
        return [value for name, value in self.origins[1].requests[0].fields if name.lower() == b"x-left-ms"]

    def test_table(self) -> None:
        for deadline_s, came, per_try, wanted in (
            (3.5, b"", None, [b"2500"]), (3.5, b"77", None, [b"2500"]), (3.5, b"", "1s", [b"1000"]), (1.5, b"", "1s", [b"500"]),
            (None, b"", "1s", [b"1000"]), (None, b"77", None, [b"77"]), (None, b"", None, []),
        ):  # fmt: skip
            self.assertEqual(self.sent(deadline_s, came, per_try), wanted, (deadline_s, came, per_try))

    def test_only_if_asked_for(self) -> None:
        self.assertEqual(self.sent(3.5, header=None), [])
        self.assertEqual(self.sent(3.5, b"77", header=None), [b"77"])

    def test_each_attempt_tells_what_is_left_for_it(self) -> None:
        self.retry = RetrySettings.model_validate({"per_try": "1s", "on": ["timeout"], "backoff": {"base": 0}})
        self.proxy([nothing], [answer()], timeouts=UpstreamTimeouts(deadline_header="X-Left-Ms"))
        exchange = make_exchange()
        exchange.deadline_s = 1.5
        self.start(exchange)
        for _ in range(12):
            self.turn(0.1)
        told = [int(value) for each in self.origins for name, value in each.requests[0].fields if name == b"X-Left-Ms"]
        self.assertEqual(told[0], 1000)
        self.assertTrue(300 <= told[1] <= 500, told)
