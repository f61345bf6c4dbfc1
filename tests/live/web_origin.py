"""`tests.live.origin` with what a browser and long streams need: python -m tests.live.web_origin --port 9000

/page            the file given by --page, read each time
/image/N         a small PNG, another one for each N
/events?n=N&s=X  N server-sent events, X seconds apart (n=0: until the client leaves); `Last-Event-ID` counts on
/silent?s=X      the head of an event stream, X seconds of silence, then one event
/report          keeps the body; /_reports gives all of them as a JSON list
/_left           JSON: the seconds that have passed since each event stream saw its client leave
"""

import select
import struct
import sys
import time
import zlib
from pathlib import Path

from tests.live import origin
from tests.live.origin import ANSWERS, Exchange, Received

PAGE: list[Path] = []
REPORTS: list[str] = []
LEFT: list[float] = []


def png(number: int) -> bytes:
    """A PNG of one grey pixel, and a text chunk that makes it another file for each number."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixel = zlib.compress(bytes((0, number % 256)))
    text = b"n\0" + str(number).encode() * 200
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tEXt", text)
        + chunk(b"IDAT", pixel)
        + chunk(b"IEND", b"")
    )


def page(exchange: Exchange, received: Received) -> None:
    exchange.answer(PAGE[0].read_bytes(), ("Content-Type", "text/html; charset=utf-8"))


def image(exchange: Exchange, received: Received) -> None:
    number = int(received.path.split("/")[2])
    exchange.answer(png(number), ("Content-Type", "image/png"), ("Cache-Control", "no-store"))


def events(exchange: Exchange, received: Received) -> bool:
    query = received.query
    count, apart_s = int(query.get("n", "0")), float(query.get("s", "0.2"))
    first = int(received.header("last-event-id", "0"))
    exchange.head(
        200, ("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("Transfer-Encoding", "chunked")
    )
    number = first
    try:
        while not count or number < first + count:
            number += 1
            exchange.chunk(f"id: {number}\ndata: {number} {time.time()}\n\n".encode())
            if gone(exchange, apart_s):
                raise ConnectionError
        exchange.send(b"0\r\n\r\n")
    except OSError:
        LEFT.append(time.monotonic())
        return False
    return True


def gone(exchange: Exchange, wait_s: float) -> bool:
    """Wait so long, or until the client closes; whether it did."""
    readable, _, _ = select.select([exchange.connection], [], [], wait_s)
    return bool(readable)


def silent(exchange: Exchange, received: Received) -> bool:
    exchange.head(200, ("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"))
    if gone(exchange, float(received.query.get("s", "1"))):
        LEFT.append(time.monotonic())
        return False
    exchange.chunk(b"data: awake\n\n")
    exchange.send(b"0\r\n\r\n")
    return True


def report(exchange: Exchange, received: Received) -> None:
    REPORTS.append(b"".join(exchange.body(received)).decode())
    exchange.answer(b"thanks\n")


def reports(exchange: Exchange, received: Received) -> None:
    exchange.answer_json(REPORTS)


def left(exchange: Exchange, received: Received) -> None:
    now = time.monotonic()
    exchange.answer_json([now - moment for moment in LEFT])


ANSWERS.update(page=page, image=image, events=events, silent=silent, report=report, _reports=reports, _left=left)

if __name__ == "__main__":
    if "--page" in sys.argv:
        place = sys.argv.index("--page")
        PAGE.append(Path(sys.argv[place + 1]))
        del sys.argv[place : place + 2]
    origin.main()
