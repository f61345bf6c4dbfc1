"""Drill of an endpoint that answers garbage (trust.md A7: R19), where test_garbage leaves off: HTTP/2, bombs, other endpoints."""

from __future__ import annotations

import itertools
import json

from tests.live.drill_case import DrillCase
from tests.live.http2_wire import Http2Wire
from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway
from tests.wire import tables

BAD = b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"
ALONE = "outlier: false, breaker: false"


class GarbageTests(DrillCase):
    def test_every_row_over_http2(self) -> None:
        """502, or the stream is reset; the connection goes on, and no other stream on it suffers."""
        rows = {f"/{number}".encode(): row for number, row in enumerate(tables.UPSTREAM)}

        def script(call: Call) -> None:
            row = rows.get(call.target)
            call.ok() if row is None else call.send(row.data)

        origin = self.scripted(script)
        gateway = self.gateway(origin.port, upstream=ALONE)
        wire = Http2Wire(gateway.port())
        self.addCleanup(wire.close)
        with self.nothing_is_left(gateway):
            for target, row in rows.items():
                answer = wire.ask(target.decode())
                if row.status:
                    self.assertTrue(answer.status == 502 or answer.reset == 2, f"{row.name}: {answer}")
                    self.assertFalse(answer.status == 200 and answer.ended, row.name)
                    used = origin.calls[-1].connection
                    self.assertEqual(wire.ask("/good").status, 200, row.name)
                    self.assertNotEqual(origin.calls[-1].connection, used, f"{row.name}: used again")
                else:
                    self.assertEqual((answer.status, answer.ended), (200, True), row.name)
        self.assertEqual((wire.goaways, wire.closed), ([], False))

    def test_bombs(self) -> None:
        """A head that never ends, in one field, in many, in 1xx: cut at their limits, and little memory for all of it."""
        bombs = {
            b"/field": (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536),
            b"/fields": (b"HTTP/1.1 200 OK\r\n", b"X: a\r\n" * 10_000),
            b"/hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2_000),
            b"/status": (b"HTTP/1.1 ", b"2" * 65536),
            b"/size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
        }

        def script(call: Call) -> None:
            first, more = bombs[call.target]
            call.peer.settimeout(5)
            call.send(first)
            try:
                for _ in range(400):
                    call.peer.sendall(more)
                    ends.append("sent")
            except OSError as error:
                ends.append(type(error).__name__)
            call.closed = True

        ends: list[str] = []
        origin = self.scripted(script)
        gateway = self.gateway(origin.port, upstream=ALONE)
        with self.nothing_is_left(gateway), self.peak_growth_below(gateway, 8192):
            for target in bombs:
                wire = Http2Wire(gateway.port())
                self.addCleanup(wire.close)
                ends.clear()
                answer = wire.ask(target.decode())
                self.assertTrue(answer.status == 502 or answer.reset == 2, f"{target!r}: {answer}")
                wait_until(lambda: ends and ends[-1] != "sent", f"{target!r}: the connection is closed")
                self.assertLess(len(ends), 100, f"{target!r}: much more was read than any limit allows")

    def test_another_endpoint_if_wanted(self) -> None:
        """By default garbage is not asked for again; with `on: [garbage]` it is, for what may be done twice."""
        for retry, get, post in (("", [502, 200], [502, 200]), ("retry: {on: [garbage]}", [200, 200], [502, 200])):
            bad = self.scripted(lambda call: call.send(BAD))
            good = self.scripted(lambda call: call.ok(call.body(1) if call.method == b"POST" else b"ok"))
            upstream = f"balance: round_robin, {ALONE}, {retry}"
            gateway = self.gateway(bad.port, good.port, upstream=upstream)
            with self.nothing_is_left(gateway):
                self.assertEqual(self.statuses(gateway, "GET"), sorted(get, reverse=True))
                self.assertEqual(self.statuses(gateway, "POST"), sorted(post, reverse=True))

    def statuses(self, gateway: Gateway, method: str) -> list[int]:
        """Of two requests, which meet both endpoints."""
        body = b"x" if method == "POST" else None
        return sorted((self.wire(gateway).ask("/", method, body).status for _ in range(2)), reverse=True)

    def test_who_answers_garbage_is_out(self) -> None:
        """It counts for outlier detection and for the breaker: the endpoint is ejected; alone, its upstream is refused."""
        garbage = itertools.cycle((BAD, b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x02\x00\x01\x00"))

        def script(call: Call) -> None:
            call.send(next(garbage))
            call.close()

        bad = self.scripted(script)
        good = self.scripted(lambda call: call.ok())
        gateway = self.gateway(bad.port, good.port, upstream="balance: round_robin")
        wire = self.wire(gateway)
        statuses = [wire.ask("/").status for _ in range(20)]
        self.assertEqual((statuses.count(502), statuses[10:]), (5, [200] * 10))
        self.assertEqual(self.states(gateway), ["ejected", "ready"])
        alone = self.gateway(bad.port)
        statuses = [self.wire(alone).ask("/").status for _ in range(6)]
        self.assertEqual(statuses, [502] * 5 + [503])
        self.assertEqual(json.loads(self.wire(alone).ask("/").body)["reason"], "breaker_refuses")
