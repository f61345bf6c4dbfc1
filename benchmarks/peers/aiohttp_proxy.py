# mypy: disable-error-code="import-not-found"
"""A proxy on aiohttp and uvloop: `aiohttp_proxy.py PORT ORIGIN_PORT LOG`. Runs in the wheels' environment."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

import uvloop
from aiohttp import ClientSession, TCPConnector, web

_HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}


def proxy(
    session: ClientSession, origin: str, log: TextIO, clock: Callable[[], float]
) -> Callable[[web.Request], object]:
    """The handler of every request: forward it, stream the answer, write one line."""

    async def handle(request: web.Request) -> web.StreamResponse:
        started = clock()
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
        headers.append(("X-Forwarded-For", request.remote or ""))
        body = request.content if request.can_read_body else None
        async with session.request(
            request.method, origin + request.path_qs, headers=headers, data=body, allow_redirects=False
        ) as upstream:
            kept = [(name, value) for name, value in upstream.headers.items() if name.lower() not in _HOP_BY_HOP]
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
            response.headers.extend(kept)
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        record = {
            "time": datetime.now(UTC).isoformat(),
            "client": request.remote,
            "method": request.method,
            "path": request.path_qs,
            "status": upstream.status,
            "bytes_out": response.body_length,
            "duration": clock() - started,
            "agent": request.headers.get("User-Agent"),
        }
        log.write(json.dumps(record) + "\n")
        return response

    return handle


async def serve(port: int, origin_port: int, log: TextIO) -> None:
    """Serve until the process is ended."""
    connector = TCPConnector(limit=0)
    async with ClientSession(connector=connector, auto_decompress=False) as session:
        app = web.Application()
        clock = asyncio.get_running_loop().time
        app.router.add_route("*", "/{path:.*}", proxy(session, f"http://127.0.0.1:{origin_port}", log, clock))
        runner = web.AppRunner(app, access_log=None, handle_signals=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        try:
            await asyncio.Event().wait()
        except web.GracefulExit:
            await runner.cleanup()


if __name__ == "__main__":
    with open(sys.argv[3], "a", buffering=65536, encoding="utf-8") as access_log:
        try:
            uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), access_log))
        except web.GracefulExit:
            pass
