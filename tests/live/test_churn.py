"""Upstreams that never come to rest: endpoints replaced all the time, reload after reload, and nothing is lost or left behind."""

import json
import random
import time
from collections.abc import Sequence
from typing import Any

from tests.live.case import LiveCase
from tests.live.control import control
from tests.live.discovered import Named
from tests.live.load import Load
from tests.live.process import free_port, wait_until
from tests.live.servers import Gateway

FRONT = """
    edgegw: 1
    shutdown: {lame_duck: 0s, grace: 10s}
    observe: {listen: "127.0.0.1:@{observe}", access_log: "@{dir}/access.log"}
    listen: [{port: @{web}, interface: 127.0.0.1}]
    upstreams:
      found: {discovery: {from: file, path: found/endpoints.json, allow: [127.0.0.0/8], damping: false}, <found>}
      named: {endpoints: [<endpoints>], <named>}
    routes: [{match: /found/**, to: found}, {match: /**, to: named}]
"""

ALTERNATIVES = {
    "balance": ("round_robin", "peak_ewma", "{by: consistent_hash, key: path}", "{by: random, slow_start: 1s}"),
    "health": ("{path: /a, every: 1s}", "{tcp: {}, every: 1s}"),
    "outlier": ("false", "{consecutive: 3}"),
    "breaker": ("false", "{failures: 4}"),
    "bulkhead": ("{requests: 100}", "{requests: 200}"),
    "pool": ("{idle: 2}", "{max: 50}"),
    "timeouts": ("{connect: 1s}", "{head: 5s}"),
}
"""What a reload may change of an upstream; each key may be left out too."""

RELOADS = 120


class ChurnTests(LiveCase):
    def setUp(self) -> None:
        super().setUp()
        port = free_port()
        # Every loopback address is a machine of its own.
        self.origin = Named("one", host="", port=port)
        self.addCleanup(self.origin.stop)
        self.draw = random.Random(4)
        self.gateway = Gateway(self.text(range(1, 4)), files={"found/endpoints.json": self.found(range(1, 4))})

    def urls(self, numbers: Sequence[int]) -> list[str]:
        return [f"http://127.0.{1 + number // 200}.{1 + number % 200}:{self.origin.port}" for number in numbers]

    def found(self, numbers: Sequence[int]) -> str:
        return json.dumps(self.urls(numbers))

    def text(self, numbers: Sequence[int], found: str = "host: upstream", named: str = "host: upstream") -> str:
        said = {"<endpoints>": json.dumps(self.urls(numbers))[1:-1], "<found>": found, "<named>": named}
        text = FRONT
        for place, words in said.items():
            text = text.replace(place, words)
        return text

    def settings(self) -> str:
        """Some keys of an upstream."""
        chosen = {key: self.draw.choice(each) for key, each in ALTERNATIVES.items() if self.draw.random() < 0.6}
        return ", ".join(["host: upstream", *(f"{key}: {words}" for key, words in chosen.items())])

    def replace(self, numbers: Sequence[int]) -> None:
        fresh = self.gateway.folder / "found" / "fresh"
        fresh.write_text(self.found(numbers))
        fresh.replace(fresh.with_name("endpoints.json"))

    def upstream(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(
            each for each in control(self.gateway, "upstreams")["upstreams"] if each["name"] == name
        )
        return found

    def test_reload_after_reload(self) -> None:
        """Each changes other keys of both upstreams, takes endpoints away and brings others; every fifth is refused."""
        self.serve(self.gateway)
        verdicts = []
        with Load(self.gateway.port(), ("/found/x", "/x"), threads=2) as load:
            for number in range(RELOADS):
                text = self.text(self.draw.sample(range(1, 6), 3), self.settings(), self.settings())
                refused = number % 5 == 4
                self.gateway.write(text.replace("to: named", "to: nobody") if refused else text)
                verdicts.append(control(self.gateway, "reload")["ok"] is not refused)
                if number % 20 == 0:
                    self.replace(self.draw.sample(range(1, 6), 3))
                if number == RELOADS // 2:
                    settled = self.gateway.descriptors()
            self.assertEqual(verdicts, [True] * RELOADS)
        self.assertEqual(dict(load.failed), {})
        self.assertGreater(load.done, 100)
        # Connections of pools that no cluster has any more are gone.
        wait_until(lambda: self.gateway.descriptors() <= settled + 16, "nothing is left behind", 20)

    def test_doubts_and_words_come_through_reloads(self) -> None:
        """Over the same connections and over others: who was failing is not chosen, who was drained neither."""
        dead = f"http://127.0.0.1:{free_port()}"
        health = "health: {path: /, every: 300ms, fall: 1}, retry: {attempts: 0}"

        def text(more: str) -> str:
            return self.text(range(1, 4), named=f"{health}, {more}").replace("endpoints: [", f'endpoints: ["{dead}", ')

        self.gateway.write(text("host: upstream"))
        self.serve(self.gateway)
        wait_until(lambda: self.upstream("named")["endpoints"][0]["state"] == "failing", "it is found out")
        drained = self.urls([1])[0]
        control(self.gateway, "upstream", name="named", action="drain", endpoint=drained)
        with Load(self.gateway.port(), ("/x",), threads=2) as load:
            for more in ("balance: random", "pool: {idle: 3}", "timeouts: {connect: 1s}", "host: preserve"):
                self.gateway.write(text(more))
                self.assertTrue(control(self.gateway, "reload")["ok"])
                first, second = self.upstream("named")["endpoints"][:2]
                self.assertIn(first["state"], ("failing", "pending"), more)
                self.assertEqual((second["name"], second["state"]), (drained, "drained"), more)
        self.assertEqual(dict(load.failed), {})

    def test_endpoints_replaced_all_the_time(self) -> None:
        """Three hundred, others every second, with probes on: nothing is lost, and the loop is never held up for long."""
        self.gateway.write(self.text(range(1, 4), "health: {path: /, every: 2s}, balance: least_connections"))
        began = time.monotonic()
        self.serve(self.gateway)
        with Load(self.gateway.port(), ("/found/x",), threads=2) as load:
            for turn in range(5):
                numbers = range(300 * turn, 300 * turn + 300)
                self.replace(numbers)
                there = set(self.urls(numbers))
                wait_until(
                    lambda there=there: {each["name"] for each in self.upstream("found")["endpoints"]} == there,
                    "the others are there",
                )
        self.assertEqual(dict(load.failed), {})
        self.assertGreater(load.done, 100)
        lines = [line for line in self.gateway.log().splitlines() if "endpoint" in line]
        self.assertLess(len(lines), 60 * ((time.monotonic() - began) / 10 + 2), "50 and a count in 10 s")
