"""An HTTP/2 origin by the `h2` library, the counterpart of `tests.live.origin`: the same paths, the same answers.

python -m tests.live.http2_origin --port 9000 [--cert CERT --key KEY] [--streams 100] [--label one]

/echo /sha256 /bytes/N /status/N /slow?s=X /trailers /hints       as in `tests.live.origin`
/stall           takes the request and says nothing until /release; /release lets go of all of them
/reset?code=N    answers with RST_STREAM
/goaway          answers, then GOAWAY and closes when its streams are done
/_seen           JSON: of each request so far: fields as received; how many connections; how many streams the peer reset
"""

import argparse
import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from tests.live.origin import pattern

Fields = list[tuple[str, str]]


class Site:
    """What the connections share."""

    def __init__(self, label: str, streams: int) -> None:
        self.label = label
        self.streams = streams
        self.seen: list[list[tuple[str, str]]] = []
        self.connections = 0
        self.resets = 0
        self.pings = 0
        self.released = asyncio.Event()


class Request:
    """One request: its fields, and its body as it comes."""

    def __init__(self, stream: int, fields: Fields) -> None:
        self.stream = stream
        self.fields = fields
        self.trailers: Fields = []
        self.body: asyncio.Queue[bytes] = asyncio.Queue()
        self.credit = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def field(self, name: str) -> str:
        return next((value for key, value in self.fields if key == name), "")

    async def pieces(self) -> AsyncIterator[bytes]:
        while piece := await self.body.get():
            yield piece


class Connection(asyncio.Protocol):
    """One connection; each stream is answered by a task of its own."""

    transport: asyncio.Transport

    def __init__(self, site: Site) -> None:
        self.site = site
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8", validate_inbound_headers=True)
        self.h2 = h2.connection.H2Connection(config)
        self.requests: dict[int, Request] = {}
        self.closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.site.connections += 1
        self.h2.local_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = self.site.streams
        self.h2.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for request in self.requests.values():
            if request.task is not None:
                request.task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.flush()
            self.transport.close()
            return
        for event in events:
            self.handle(event)
        self.flush()

    def handle(self, event: Any) -> None:
        request = self.requests.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.RequestReceived):
            fields = [(str(name), str(value)) for name, value in event.headers or ()]
            request = self.requests[event.stream_id] = Request(event.stream_id, fields)
            path = request.field(":path")
            if not path.startswith("/_"):
                self.site.seen.append(fields)
            request.task = asyncio.get_running_loop().create_task(self.answer(request))
        elif isinstance(event, h2.events.DataReceived):
            if request is not None and event.data:
                request.body.put_nowait(event.data)
            self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived) and request is not None:
            request.trailers = [(str(name), str(value)) for name, value in event.headers or ()]
        elif isinstance(event, h2.events.StreamEnded) and request is not None:
            request.body.put_nowait(b"")
        elif isinstance(event, h2.events.StreamReset) and request is not None:
            self.site.resets += 1
            if request.task is not None:
                request.task.cancel()
        elif isinstance(event, h2.events.PingReceived):
            self.site.pings += 1
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            for waiting in self.requests.values():
                waiting.credit.set()

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.transport.write(data)

    async def answer(self, request: Request) -> None:
        try:
            await self.dispatch(request)
        except h2.exceptions.ProtocolError:
            pass
        finally:
            self.requests.pop(request.stream, None)
            self.flush()
            if self.closing and not self.requests:
                self.transport.close()

    async def dispatch(self, request: Request) -> None:
        path, _, text = request.field(":path").partition("?")
        query = dict(parse_qsl(text, keep_blank_values=True))
        words = path.split("/")[1:]
        if words[0] == "bytes":
            await self.send(request, 200, [("content-length", words[1])], pattern(int(words[1])))
        elif words[0] == "status":
            body = [] if words[1] in ("204", "304") else [f"{words[1]}\n".encode()]
            await self.send(request, int(words[1]), [], body)
        elif words[0] == "sha256":
            digest, length = hashlib.sha256(), 0
            async for piece in request.pieces():
                digest.update(piece)
                length += len(piece)
            await self.json(request, {"sha256": digest.hexdigest(), "length": length, "trailers": request.trailers})
        elif words[0] == "trailers":
            digest = hashlib.sha256(b"one\ntwo\n").hexdigest()
            await self.send(request, 200, [], [b"one\n", b"two\n"], [("x-digest", digest), ("x-second", "2")])
        elif words[0] == "reset":
            self.h2.reset_stream(request.stream, int(query.get("code", "2")))
        elif words[0] == "release":
            self.site.released.set()
            await self.json(request, {})
        elif words[0] == "_seen":
            site = self.site
            facts = {"requests": site.seen, "connections": site.connections, "resets": site.resets, "pings": site.pings}
            await self.json(request, facts)
        else:
            await self.echo(request, words[0], query)

    async def echo(self, request: Request, kind: str, query: dict[str, str]) -> None:
        if kind == "slow":
            await asyncio.sleep(float(query.get("s", "1")))
        elif kind == "stall":
            await self.site.released.wait()
        elif kind == "hints":
            self.h2.send_headers(request.stream, [(":status", "103"), ("link", "</style.css>; rel=preload")])
            self.flush()
        body = b"".join([piece async for piece in request.pieces()])
        headers = [pair for pair in request.fields if not pair[0].startswith(":")]
        facts = {
            "method": request.field(":method"),
            "target": request.field(":path"),
            "authority": request.field(":authority"),
            "version": "HTTP/2",
            "headers": headers,
            "body": body.decode("latin-1"),
            "trailers": request.trailers,
            "origin": self.site.label,
        }
        if kind == "goaway":
            self.closing = True
        await self.json(request, facts)
        if kind == "goaway":
            self.h2.close_connection(last_stream_id=self.h2.highest_inbound_stream_id)

    async def json(self, request: Request, value: object) -> None:
        body = json.dumps(value).encode()
        fields = [("content-type", "application/json"), ("content-length", str(len(body)))]
        await self.send(request, 200, fields, [body])

    async def send(
        self, request: Request, status: int, fields: Fields, pieces: Any, trailers: Fields | None = None
    ) -> None:
        """Send a response as the peer's windows allow."""
        stream = request.stream
        bodiless = request.field(":method") == "HEAD"
        self.h2.send_headers(stream, [(":status", str(status)), *fields], end_stream=bodiless)
        if bodiless:
            return
        for piece in pieces:
            view = memoryview(piece)
            while view:
                request.credit.clear()
                size = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(view))
                if size <= 0:
                    self.flush()
                    await request.credit.wait()
                    continue
                self.h2.send_data(stream, bytes(view[:size]))
                view = view[size:]
            self.flush()
            await asyncio.sleep(0)
        if trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        else:
            self.h2.end_stream(stream)


async def serve(options: argparse.Namespace) -> None:
    site = Site(options.label, options.streams)
    tls = None
    if options.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.cert, options.key)
        tls.set_alpn_protocols(["h2"])
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(site), "127.0.0.1", options.port, ssl=tls, backlog=1024
    )
    print(f"http2 origin on {options.port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--label", default="")
    asyncio.run(serve(parser.parse_args()))
