"""Discovery by NATS: a JetStream KV bucket on a real nats-server, written by nats-py."""

import json
import signal
from typing import Any

from nats.js.api import KeyValueConfig

from tests.live.nats_case import NatsCase, front
from tests.live.nats_server import NatsServer
from tests.live.process import wait_until
from tests.live.servers import Gateway


class BucketTests(NatsCase):
    """A JetStream KV bucket."""

    def begin(self, query: str = "bucket: services, service: users", more: str = "", **options: Any) -> None:
        self.nats = self.serve(NatsServer())
        self.peer = self.join()
        self.make_bucket(**options)
        self.gateway = self.serve(Gateway(front(self.to("ping: 1s"), query, more), before=self.before))

    def make_bucket(self, **options: Any) -> None:
        config = KeyValueConfig(bucket="services", **options)
        self.bucket = self.peer.run(self.peer.client.jetstream().create_key_value(config))

    def put(self, key: str, value: bytes) -> None:
        self.peer.run(self.bucket.put(key, value))

    def test_watch(self) -> None:
        one, two = self.origin("one"), self.origin("two")
        self.begin()
        self.await_state("fresh")
        self.assertEqual(self.get(self.gateway, "/")[0].status, 503)
        self.put("users.one", self.instance(one))
        self.serves("one")
        with self.nothing_lost():
            self.put("users.two", self.instance(two, id="whatever", metadata={"version": "2"}))
            self.put("orders.three", self.instance(self.origin("three")))
            self.serves("one", "two")
            self.put("users.one", b"{")
            wait_until(lambda: self.events("source_refused"), "garbage is refused")
            self.serves("one", "two")
            self.peer.run(self.bucket.delete("users.one"))
            self.serves("two")
        self.assertEqual(self.endpoints()[two.url]["meta"], {"id": "two", "version": "2"})
        self.put("users.one", self.instance(one))
        self.serves("one", "two")
        self.peer.run(self.bucket.purge("users.two"))
        self.serves("one")

    def test_many(self) -> None:
        """More entries than one flow-control window; only the last value of each counts."""
        one = self.origin("one")
        self.nats = self.serve(NatsServer())
        self.peer = self.join()
        self.make_bucket()

        async def fill() -> None:
            for turn in (1, 2):
                for number in range(2000):
                    value = {
                        "address": f"10.{turn}.{number >> 8}.{number & 255}",
                        "port": 80,
                        "metadata": {"x": "y" * 200},
                    }
                    await self.peer.client.publish(f"$KV.services.users.n{number}", json.dumps(value).encode())
                await self.peer.client.flush(10)

        self.peer.run(fill())
        text = front(self.to("ping: 1s"), "bucket: services")
        self.gateway = self.serve(Gateway(text, before=self.before))
        wait_until(lambda: len(self.endpoints()) == 2000, "all are found", 20)
        self.assertTrue(all("//10.2." in url for url in self.endpoints()))
        self.put("users.one", self.instance(one))
        wait_until(lambda: len(self.endpoints()) == 2001, "one more is found")

    def test_missing(self) -> None:
        """No bucket: told with the way out; it is watched as soon as it is there."""
        self.nats = self.serve(NatsServer())
        self.peer = self.join()
        self.gateway = self.serve(Gateway(front(self.to("ping: 1s"), "bucket: services"), before=self.before))
        self.await_failing("there is no bucket services (stream KV_services); make it with: nats kv add services")
        one = self.origin("one")
        self.make_bucket()
        self.put("users.one", self.instance(one))
        self.serves("one", limit_s=40)

    def test_deleted_bucket(self) -> None:
        """Somebody deletes the bucket: what was in it holds, and it is told."""
        one = self.origin("one")
        self.begin()
        self.put("users.one", self.instance(one))
        self.serves("one")
        with self.nothing_lost():
            self.peer.run(self.peer.client.jetstream().delete_key_value("services"))
            self.await_failing("no bucket", 40)
            self.assertEqual(list(self.endpoints()), [one.url])

    def silence(self, stop: Any, start: Any) -> None:
        one, two = self.origin("one"), self.origin("two")
        self.begin()
        self.put("users.one", self.instance(one))
        self.serves("one")
        with self.nothing_lost():
            stop()
            self.is_stale()
            start()
            self.is_fresh()
            self.put("users.two", self.instance(two))
            self.serves("one", "two")
        self.assertEqual(len(self.events("endpoint_removed")), 0)

    def test_stopped(self) -> None:
        self.silence(lambda: self.nats.signal(signal.SIGSTOP), lambda: self.nats.signal(signal.SIGCONT))

    def test_killed(self) -> None:
        """The bucket is on disk, the consumer is not."""
        self.silence(lambda: self.nats.kill(), lambda: self.nats.start())
