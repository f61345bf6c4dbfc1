"""Discovery by NATS: instances announce themselves to a real nats-server by nats-py; a real gateway hears of them."""

import contextlib
import json
import signal
import threading
import time
from typing import Any

from tests.live.control import edgegw
from tests.live.nats_case import PREFIX, NatsCase, front
from tests.live.nats_server import NatsServer
from tests.live.process import free_port, wait_until
from tests.live.servers import Gateway


class AnnouncementTests(NatsCase):
    """Instances announce themselves."""

    def begin_heard(self, **more: Any) -> None:
        """The gateway listens: what was published before it did would be lost."""
        self.begin("service: users", **more)
        self.await_state("fresh")

    def test_register_and_deregister(self) -> None:
        one, two = self.origin("one"), self.origin("two")
        self.begin_heard()
        self.assertEqual(self.get(self.gateway, "/")[0].status, 503)
        self.register(one, zone="a", weight=3, metadata={"version": "2"})
        self.serves("one")
        endpoint = self.endpoints()[one.url]
        self.assertEqual((endpoint["zone"], endpoint["weight"]), ("a", 3))
        self.assertEqual(endpoint["meta"], {"id": "one", "version": "2"})
        with self.nothing_lost():
            self.register(two)
            self.serves("one", "two")
            self.peer.publish(f"{PREFIX}.deregister", b'{"id": "one"}')
            self.serves("two")
            one.stop()
        # Others on the same prefix are not ours.
        self.register(one, service="orders")
        self.register(self.origin("three"))
        self.serves("two", "three")

    def test_heartbeats(self) -> None:
        """Who is not heard of within its time is gone; whoever is, stays."""
        one, two = self.origin("one"), self.origin("two")
        self.begin_heard()
        began = time.monotonic()
        self.register(one, ttl=2)
        self.register(two, ttl=2)
        self.serves("one", "two")

        def is_gone() -> bool:
            self.peer.publish(f"{PREFIX}.health.two.update", b'{"status": "healthy"}')
            return one.url not in self.endpoints()

        with self.nothing_lost():
            wait_until(is_gone, "the silent one is gone")
            self.assertGreater(time.monotonic() - began, 1.9)
            self.serves("two")

    def test_unhealthy(self) -> None:
        one, two = self.origin("one"), self.origin("two")
        self.begin_heard()
        self.register(one)
        self.register(two)
        self.serves("one", "two")
        self.peer.publish(f"{PREFIX}.health.one.update", b'{"status": "unhealthy"}')
        self.serves("two")
        self.assertIn("unhealthy", json.dumps(self.endpoints()[one.url]["holds"]))
        self.peer.publish(f"{PREFIX}.health.one.update", b'{"status": "healthy"}')
        self.serves("one", "two")

    def test_discover(self) -> None:
        """What a registry answers is known at once, and stays as long as it answers so."""
        one, two = self.origin("one"), self.origin("two")
        asked: list[bytes] = []
        self.nats = self.serve(NatsServer())
        self.peer = self.join()

        def registry(question: bytes) -> bytes:
            asked.append(question)
            return b"[" + self.instance(one, ttl=3600) + b"," + self.instance(two, service="orders") + b"]"

        self.peer.answer(f"{PREFIX}.discover", registry)
        self.gateway = self.serve(Gateway(front(self.to("ping: 1s"), "service: users"), before=self.before))
        self.serves("one")
        self.assertEqual(json.loads(asked[0]), {"service": "users"})
        self.assertEqual(list(self.endpoints()), [one.url])

    def test_gateways_answer(self) -> None:
        """With `answer` a gateway tells what it knows, with the age of that; without it is silent."""
        one = self.origin("one")
        self.begin_heard(connection="ping: 1s, answer: true")
        self.register(one, ttl=60)
        self.serves("one")
        second = self.serve(Gateway(front(self.to("ping: 1s"), "service: users"), before=self.before))
        wait_until(lambda: self.get(second, "/")[1] == b"one", "the second one learned from the first")

        async def ask() -> Any:
            return await self.peer.client.request(f"{PREFIX}.discover", b"{}", timeout=3)

        (said,) = json.loads(self.peer.run(ask()).data)
        self.assertEqual((said["id"], said["port"], said["ttl"]), ("one", one.port, 60.0))
        self.assertGreaterEqual(said["age"], 0)

    def test_garbage(self) -> None:
        """What anybody may publish is refused with a reason, and harms nobody."""
        one = self.origin("one")
        self.begin_heard()
        self.register(one)
        self.serves("one")
        with self.nothing_lost():
            self.register(one, id="meta", address="169.254.169.254")
            self.register(one, id="self", port=self.gateway.port())
            self.peer.publish(f"{PREFIX}.register", b"{")
            self.peer.publish(f"{PREFIX}.register", b'{"id": "x"}')
            wait_until(lambda: len(self.events("source_refused")) >= 4, "they are refused")
            words = " ".join(self.events("source_refused"))
            for payload in (b"", b"[]", b"\xff", b"[" * 100_000, b'{"address": "a", "port": 1e9}'):
                self.peer.publish(f"{PREFIX}.register", payload)
                self.peer.publish(f"{PREFIX}.deregister", payload)
                self.peer.publish(f"{PREFIX}.health.one", payload)
        self.serves("one")
        self.assertEqual(list(self.endpoints()), [one.url])
        for each in ("it is not JSON", "it has no address", "a link-local address", "listener of the gateway itself"):
            self.assertIn(each, words)
        self.assertLess(len(self.events("source_refused")), 12)


class SilenceTests(NatsCase):
    """NATS is stopped, killed, restarted: last good endpoints, visible staleness, nothing lost."""

    def begin_serving(self) -> None:
        self.one = self.origin("one")
        self.begin("service: users")
        self.await_state("fresh")
        self.register(self.one, ttl=2)
        self.serves("one")
        self._beating = True
        beats = threading.Thread(target=self._beat, daemon=True)
        beats.start()
        self.addCleanup(beats.join, 5)
        self.addCleanup(setattr, self, "_beating", False)

    def _beat(self) -> None:
        while self._beating:
            # Not through `publish`: that waits for the server.
            work = self.peer.client.publish(f"{PREFIX}.register", self.instance(self.one, ttl=2))
            with contextlib.suppress(Exception):
                self.peer.run(work)
            time.sleep(0.3)

    def is_stale(self) -> None:
        super().is_stale()
        self.assertEqual(list(self.endpoints()), [self.one.url])

    def is_back(self) -> None:
        self.is_fresh()
        self.register(self.origin("two"))
        self.serves("one", "two")
        self.assertEqual((len(self.events("source_stale")), len(self.events("source_recovered"))), (1, 1))
        self.assertEqual(len(self.events("endpoint_removed")), 0)

    def test_stopped(self) -> None:
        """Silent long enough for every time to be over, then back."""
        self.begin_serving()
        with self.nothing_lost():
            self.nats.signal(signal.SIGSTOP)
            self.await_failing("pings")
            self.is_stale()
            self.nats.signal(signal.SIGCONT)
            self.is_back()

    def test_stopped_shortly(self) -> None:
        """Too short for the connection to be given up, long enough for the instance's time."""
        self.one = self.origin("one")
        self.begin("service: users", connection="ping: 5s", more="")
        wait_until(lambda: self.state() != "starting", "the source answers", 20)
        self.register(self.one, ttl=2)
        self.serves("one")
        with self.nothing_lost():
            self.nats.signal(signal.SIGSTOP)
            time.sleep(4)
            self.nats.signal(signal.SIGCONT)
            self.assertEqual(list(self.endpoints()), [self.one.url])
            self.register(self.one, ttl=60)
        self.assertEqual(len(self.events("endpoint_removed")), 0)

    def test_killed(self) -> None:
        self.begin_serving()
        with self.nothing_lost():
            self.nats.kill()
            self.await_failing("connection refused")
            self.is_stale()
            shown = json.loads(edgegw(self.gateway, "upstreams", "--json").stdout)[0]["discovery"]
            self.assertEqual((shown["state"], shown["failing"]), ("stale", True))
            self.nats.start()
            self.is_back()

    def test_gateway_restarts(self) -> None:
        """What is on disk serves, and one announcement does not drive out those that are not heard again yet."""
        self.one, two = self.origin("one"), self.origin("two")
        self.begin("service: users")
        self.await_state("fresh")
        self.register(self.one)
        self.register(two)
        self.serves("one", "two")
        self.gateway.signal(signal.SIGTERM)
        self.gateway.wait_exit()
        self.gateway.start()
        with self.nothing_lost():
            self.await_state("fresh")
            self.register(self.one)
            self.serves("one", "two")
            self.peer.publish(f"{PREFIX}.deregister", b'{"id": "two"}')
            self.serves("one")

    def test_other_server(self) -> None:
        """Two servers, one is dead from the start, the other one stops: the third takes over."""
        cluster = [self.serve(NatsServer()) for _ in range(2)]
        one = self.origin("one")
        urls = ", ".join(f'"{url}"' for url in (f"nats://127.0.0.1:{free_port()}", *(each.url for each in cluster)))
        text = front(f"servers: [{urls}], ping: 1s", "service: users")
        self.gateway = self.serve(Gateway(text, before=self.before))
        self.await_state("fresh")

        def connected() -> list[NatsServer]:
            return [each for each in cluster if each.process and json.loads(each.monitor("/connz"))["num_connections"]]

        (first,) = connected()
        first.kill()
        cluster.remove(first)
        wait_until(connected, "it is connected to the other one")
        (self.nats,) = cluster
        self.peer = self.join()
        self.register(one)
        self.serves("one")


class EpollTests(NatsCase):
    """The same client on Twisted's stock transports."""

    before = ("--reactor", "epoll")
    test_register_and_deregister = AnnouncementTests.test_register_and_deregister
    begin_heard = AnnouncementTests.begin_heard
