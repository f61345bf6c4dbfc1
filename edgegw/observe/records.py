"""Access records: one ended exchange as one line, for machines (JSON) or for people.

A line can't be forged: JSON escapes control characters, `masking.visible` the rest; long values are cut. The fields are those of
docs/reference/access-log.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from edgegw.observe.masking import Masker, text, visible
from edgegw.observe.shapes import ExchangeShape, OutcomeShape

Encoder = Callable[[ExchangeShape, OutcomeShape, float], bytes]
"""(exchange, outcome, duration in seconds) -> one line with its line feed."""

MAX_PATH = 2048
MAX_QUERY = 2048
MAX_HOST = 255
MAX_FIELD = 512

FIELDS = {
    "time": "when the exchange ended: ISO 8601, UTC, milliseconds",
    "request_id": "as sent upstream and downstream in `X-Request-Id`",
    "client": "address that decisions were made on (after trusted proxies)",
    "peer": "address of the connection's other side; empty for UNIX sockets",
    "method": "request method",
    "scheme": "`http` or `https`",
    "host": "Host header, at most 255 bytes",
    "path": "normalised path as it came, before rewrites, at most 2 KiB; of a rejected head what was readable of it",
    "protocol": "`HTTP/1.0`, `HTTP/1.1`, `HTTP/2`",
    "status": "status sent downstream; when none was, the error's own, 499 for a downstream peer that left",
    "bytes_in": "request body bytes received",
    "bytes_out": "response body bytes sent",
    "duration_ms": "from the request's first byte to the end",
    "complete": "the last byte was sent",
    "flag": "one reason why the exchange did not end as it should; empty if it did",
    "query": "query string with the values of secrets as `***`, at most 2 KiB; left out without one",
    "upstream": "name of the upstream of the last attempt; this and the next six are left out when none was made",
    "endpoint": "its endpoint",
    "retries": "attempts after the first",
    "connect_ms": "from the request's first byte to the last attempt having a connection",
    "upstream_ms": "from having that connection to the upstream's last byte",
    "upstream_head_ms": "from the request's first byte to the upstream's response head",
    "gateway_ms": "`duration_ms` less `upstream_ms`: waiting, connecting, the gateway's own work, a slow downstream peer",
    "user_agent": "User-Agent, at most 512 bytes; left out without one",
    "referer": "Referer with secrets as `***`, at most 512 bytes; left out without one",
    "trace_id": "of the W3C `traceparent` that came; left out without one",
    "tls_version": "such as `TLSv1.3`; this and the next two only over TLS",
    "tls_cipher": "cipher suite",
    "tls_sni": "server name asked for; left out without one",
    "route": "name of the route; empty when none was found",
}
"""Every field of a JSON record, in order, and what it means."""

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)")
_NO_TRACE = b"0" * 32
_MILLISECONDS = [f".{ms:03d}Z" for ms in range(1000)]
_LEFT = 499


def shown_status(outcome: OutcomeShape) -> int:
    """The status that records and metrics show: what was sent, else what would have been, else 499 (the downstream peer left)."""
    if outcome.status:
        return outcome.status
    return outcome.error.status if outcome.error is not None else _LEFT


def reason_flag(exchange: ExchangeShape, outcome: OutcomeShape) -> str:
    """The one reason why this exchange did not end as exchanges should; empty if it did."""
    if exchange.flag:
        return exchange.flag
    error = outcome.error or exchange.failure
    if error is not None:
        return error.reason
    return "" if outcome.complete else "incomplete"


class Timestamps:
    """Unix time as ISO 8601 in UTC with milliseconds; formats the seconds once each."""

    __slots__ = ("_second", "_text", "_wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._second = -1
        self._text = ""

    def now(self) -> str:
        """Such as `2026-11-21T03:04:05.678Z`."""
        now_ms = int(self._wall() * 1000)
        second = now_ms // 1000
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return self._text + _MILLISECONDS[now_ms - second * 1000]


class JsonRecords:
    """Encodes an exchange as a JSON object with the `FIELDS` that apply to it (6 us).

    Args:
        wall: Unix time; the record's `time` is that of the exchange's end.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:  # noqa: TID251 - the default of an injected clock.
        self._timestamps = Timestamps(wall)
        self._masker = Masker()
        self._tails: dict[str, bytes] = {}

    def __call__(self, exchange: ExchangeShape, outcome: OutcomeShape, duration_s: float) -> bytes:
        """One line. duration_s: from the request's first byte to the end."""
        head = exchange.head
        connection = exchange.connection
        record: dict[str, Any] = {
            "time": self._timestamps.now(),
            "request_id": exchange.id,
            "client": exchange.client,
            "peer": connection.peer,
            "method": head.method,
            "scheme": exchange.request.scheme,
            "host": text(head.authority[:MAX_HOST]),
            "path": shown_path(head.path or head.target),
            "protocol": "HTTP/" + head.version,
            "status": outcome.status or shown_status(outcome),
            "bytes_in": outcome.bytes_in,
            "bytes_out": outcome.bytes_out,
            # Whole microseconds: round(x, 3) would cost four times as much.
            "duration_ms": int(duration_s * 1e6 + 0.5) / 1000,
            "complete": outcome.complete,
            "flag": reason_flag(exchange, outcome),
        }
        if head.query is not None:
            record["query"] = self._masker.query(shown(head.query, MAX_QUERY))
        if exchange.attempts:
            _add_upstream(record, exchange, duration_s)
        else:
            record["gateway_ms"] = record["duration_ms"]
        self._add_fields(record, head.headers.first())
        if connection.tls is not None:
            _add_tls(record, connection.tls)
        route = exchange.route.name if exchange.route is not None else ""
        try:
            return orjson.dumps(record)[:-1] + (self._tails.get(route) or self._tail(route))
        except TypeError:
            # A lone surrogate: not text that JSON knows.
            clean = {key: visible(value) if isinstance(value, str) else value for key, value in record.items()}
            return orjson.dumps(clean)[:-1] + self._tail(route)

    def _add_fields(self, record: dict[str, Any], first: Mapping[bytes, bytes]) -> None:
        value = first.get(b"user-agent")
        if value is not None:
            record["user_agent"] = text(value if len(value) <= MAX_FIELD else value[:MAX_FIELD] + b"...")
        value = first.get(b"referer")
        if value is not None:
            record["referer"] = self._masker.url(text(value if len(value) <= MAX_FIELD else value[:MAX_FIELD] + b"..."))
        value = first.get(b"traceparent")
        if value is not None:
            trace = trace_id(value)
            if trace:
                record["trace_id"] = trace

    def _tail(self, route: str) -> bytes:
        """What is the same for every exchange of a route, encoded once."""
        if len(self._tails) >= 20_000:
            self._tails.clear()
        tail = self._tails[route] = b"," + orjson.dumps({"route": visible(route)})[1:] + b"\n"
        return tail


def _add_upstream(record: dict[str, Any], exchange: ExchangeShape, duration_s: float) -> None:
    record["upstream"] = exchange.upstream
    record["endpoint"] = exchange.endpoint
    record["retries"] = exchange.attempts - 1
    connect_s, head_s, end_s = exchange.connect_s, exchange.upstream_head_s, exchange.upstream_end_s
    upstream_s = 0.0
    if connect_s >= 0:
        record["connect_ms"] = int(connect_s * 1e6 + 0.5) / 1000
        upstream_s = (end_s if end_s >= 0 else duration_s) - connect_s
        record["upstream_ms"] = int(upstream_s * 1e6 + 0.5) / 1000
    if head_s >= 0:
        record["upstream_head_ms"] = int(head_s * 1e6 + 0.5) / 1000
    record["gateway_ms"] = int((duration_s - upstream_s) * 1e6 + 0.5) / 1000


def _add_tls(record: dict[str, Any], tls: Any) -> None:
    record["tls_version"] = tls.version
    record["tls_cipher"] = tls.cipher
    if tls.server_name:
        record["tls_sni"] = shown(str(tls.server_name), MAX_HOST)


def shown(value: str, limit: int) -> str:
    """A value without what forges lines, cut to a length."""
    if len(value) > limit:
        value = value[:limit] + "..."
    return value if value.isascii() else visible(value)


def shown_path(value: str) -> str:
    """A path as records show it; a raw target (of a rejected head) loses its query, which may hold secrets."""
    if "?" in value:
        value = value.partition("?")[0]
    return value if len(value) <= MAX_PATH and value.isascii() else shown(value, MAX_PATH)


def trace_id(traceparent: bytes) -> str:
    """The trace id of a W3C `traceparent` header, or nothing when it is not one (Trace Context 3.2.2)."""
    found = _TRACEPARENT.match(traceparent)
    if found is None or found[1] == _NO_TRACE or traceparent.startswith(b"ff"):
        return ""
    return found[1].decode("ascii")


class ConsoleRecords:
    """Encodes an exchange as a line for people.

    Such as `03:04:05.678 200 GET api.example.com/users/1 12.3 ms 125 B -> users http://10.0.0.11:9000 10.1 ms (route users, 0f3a)`.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:  # noqa: TID251 - the default of an injected clock.
        self._timestamps = Timestamps(wall)
        self._masker = Masker()

    def __call__(self, exchange: ExchangeShape, outcome: OutcomeShape, duration_s: float) -> bytes:
        """One line. duration_s: from the request's first byte to the end."""
        head = exchange.head
        query = "" if head.query is None else "?" + self._masker.query(shown(head.query, MAX_QUERY))
        where = f"{text(head.authority[:MAX_HOST])}{shown_path(head.path or head.target)}{query}"
        parts = [
            self._timestamps.now()[11:-1],
            str(shown_status(outcome)),
            head.method,
            where,
            f"{duration_s * 1000:.1f} ms",
            f"{outcome.bytes_out} B",
        ]
        if exchange.attempts:
            parts.append(f"-> {exchange.upstream} {exchange.endpoint}")
            if exchange.upstream_head_s >= 0:
                parts.append(f"{(exchange.upstream_head_s - max(0.0, exchange.connect_s)) * 1000:.1f} ms")
            if exchange.attempts > 1:
                parts.append(f"{exchange.attempts} attempts")
        flag = reason_flag(exchange, outcome)
        if flag:
            parts.append(f"[{flag}]")
        route = exchange.route.name if exchange.route is not None else "-"
        parts.append(f"(route {route}, {exchange.client}, {exchange.id})")
        return visible(" ".join(parts)).encode("utf-8", "backslashreplace") + b"\n"
