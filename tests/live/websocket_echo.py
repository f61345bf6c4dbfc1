"""A WebSocket echo server by the `websockets` library: python -m tests.live.websocket_echo --port 9000

`/` echoes; `/close?code=N&reason=TEXT` closes so after the first message; `/push?n=N` sends N messages and closes. Messages may
have any size; of the subprotocols offered, `echo.v1` is chosen.
"""

import argparse
import asyncio
from collections.abc import Sequence
from urllib.parse import parse_qsl

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol


async def answer(connection: ServerConnection) -> None:
    """One connection."""
    assert connection.request is not None
    path, _, text = connection.request.path.partition("?")
    query = dict(parse_qsl(text))
    if path == "/push":
        for number in range(int(query.get("n", "1"))):
            await connection.send(f"message {number}")
        return
    async for message in connection:
        if path == "/close":
            await connection.close(int(query["code"]), query.get("reason", ""))
            return
        await connection.send(message)


def choose(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """`echo.v1` if it was offered; none else, which is not refused."""
    return Subprotocol("echo.v1") if "echo.v1" in offered else None


async def main(port: int) -> None:
    async with serve(answer, "127.0.0.1", port, max_size=None, select_subprotocol=choose, ping_interval=None):
        print(f"echo on {port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(main(parser.parse_args().port))
