"""A real nats-server, and nats-py as the peer that announces, deregisters and writes: what discovery by NATS is tried with."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import nats
from nats.aio.client import Client

from tests.live.process import Server
from tests.live.servers import fetch, installed

T = TypeVar("T")
LIMIT_S = 20.0


class NatsServer(Server):
    """nats-server with JetStream; `text` is more of its configuration. Its store survives a restart."""

    config = "nats.conf"

    MAIN = """
        listen: "127.0.0.1:@{nats}"
        http: "127.0.0.1:@{monitor}"
        jetstream {store_dir: "@{dir}/store"}
    """

    def __init__(self, text: str = "", **options: Any) -> None:
        super().__init__(self.MAIN + text, **options)

    @property
    def url(self) -> str:
        """For the gateway and for peers."""
        return f"nats://127.0.0.1:{self.port('nats')}"

    def command(self) -> list[str]:
        return [installed("nats-server"), "-c", str(self.config_path)]

    def is_ready(self) -> bool:
        return super().is_ready() and fetch(self.port("monitor"), "/healthz")[0] == 200

    def monitor(self, path: str) -> str:
        """What the monitoring port says."""
        return fetch(self.port("monitor"), path)[1].decode()


class Peer:
    """nats-py in a thread of its own; comes back by itself when the server does."""

    def __init__(self, url: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.client: Client = self.run(nats.connect(url, **self._options(options)))

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        async def quiet(_: Exception) -> None:
            """A server that is stopped on purpose is no news."""

        usual = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.1, "ping_interval": 1, "error_cb": quiet}
        return {**usual, **given}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine of nats-py."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)

    def publish(self, subject: str, payload: bytes = b"") -> None:
        """Publish, and wait until the server has it."""

        async def work() -> None:
            await self.client.publish(subject, payload)
            await self.client.flush(10)

        self.run(work())

    def answer(self, subject: str, reply: Callable[[bytes], bytes]) -> None:
        """Answer every request on a subject."""

        async def take(message: Any) -> None:
            await message.respond(reply(message.data))

        async def work() -> None:
            await self.client.subscribe(subject, cb=take)
            await self.client.flush(10)

        self.run(work())

    def stop(self) -> None:
        """Close, and end the thread."""

        async def work() -> None:
            await asyncio.wait_for(self.client.close(), 5)

        try:
            self.run(work())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
