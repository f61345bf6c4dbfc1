"""gRPC calls: their deadline, the size of their messages, and an end with a grpc-status whatever happens.

Calls are HTTP/2 requests like any others (grpc/grpc doc/PROTOCOL-HTTP2.md); all that stands here is what gRPC adds. Bodies stream
through untouched: of each message only its prefix is looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.units import Size
from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import Body
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.exchange.render import grpc_status
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.runtime.wheel import Deadline, Wheel
from edgegw.wire import headers as wire
from edgegw.wire.grpc import (
    GRPC,
    LARGEST,
    BadMessage,
    Messages,
    code_of_answer,
    format_timeout,
    is_grpc,
    parse_timeout,
    status_fields,
)

_TIMEOUT = b"grpc-timeout"
_STATUS = b"grpc-status"
_OF_CONTENT = frozenset(
    {
        b"accept-ranges", b"content-encoding", b"content-language", b"content-length", b"content-range",
        b"content-type", b"etag", b"last-modified",
    }
)  # fmt: skip
"""What describes a body that is dropped."""


class GrpcCallSettings(Settings):
    """Limits of gRPC calls."""

    max_message: Size = Field(
        default=4 * 1024 * 1024,
        ge=0,
        le=LARGEST,
        description="Bytes of one message as it is sent, perhaps compressed, either way; more ends the call with"
        " RESOURCE_EXHAUSTED. How many messages a call has is not limited.",
    )


class Guard:
    """Watches the messages of one body.

    Args:
        exchange: the call. limit: of a message. response: it is the response's body, so its end can say what went wrong.
    """

    __slots__ = ("_exchange", "_messages", "_response", "good")

    def __init__(self, exchange: Exchange, limit: int, response: Body | None = None) -> None:
        self._exchange = exchange
        self._messages = Messages(limit)
        self._response = response
        self.good = 0

    def look(self, data: bytes, at: int) -> int:
        """From the body: read the prefixes.

        Raises:
            GatewayError: 413 `grpc_message_too_large`, 400 `grpc_bad_message`; of a response 502 `grpc_response_too_large`,
                `grpc_bad_response`.
        """
        try:
            return self._messages.look(data, at)
        except BadMessage as bad:
            self.good = bad.at
            if self._response is None:
                status, reason = (413, "grpc_message_too_large") if bad.too_large else (400, "grpc_bad_message")
                side, phase = Side.DOWNSTREAM, Phase.BODY
            else:
                status, reason = 502, "grpc_response_too_large" if bad.too_large else "grpc_bad_response"
                side, phase = Side.UPSTREAM, Phase.RESPONSE_BODY
            raise GatewayError(status, reason, side=side, phase=phase, detail=str(bad)) from None

    def last_words(self, error: GatewayError) -> tuple[wire.Field, ...] | None:
        """From the body: end the call with a status, where there can be trailers."""
        exchange = self._exchange
        if self._response is None or self._response.length is not None or exchange.head.version == "1.0":
            return None
        exchange.failure = exchange.failure or error
        return tuple(grpc_status(error))


class Grpc:
    """Watches over calls; everything else passes by.

    Args:
        max_message: bytes. wheel: deadlines.
    """

    __slots__ = ("_max_message", "_next", "_wheel")

    def __init__(self, following: Responder, max_message: int, wheel: Wheel) -> None:
        self._next = following
        self._max_message = max_message
        self._wheel = wheel

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Go on, or watch over the call."""
        content_type = exchange.request.headers.get(b"content-type")
        if content_type is None or not is_grpc(content_type):
            return self._next(exchange)
        return self._watch(exchange)

    async def _watch(self, exchange: Exchange) -> Response:
        expiry = self._expiry(exchange)
        body = exchange.request.body
        if not body.empty:
            body.watch(Guard(exchange, self._max_message))
        response = await self._next(exchange)
        if response.status != 200 or not is_grpc(response.headers.get(b"content-type")):
            return _without_body(exchange, response)
        answer = response.body
        if not answer.empty:
            try:
                answer.watch(Guard(exchange, self._max_message, answer))
            except GatewayError:
                answer.cancel()
                raise
        if expiry is not None:
            expiry.answer = answer
        return response

    def _expiry(self, exchange: Exchange) -> Expiry | None:
        """Arm the deadline that the caller gave, unless the route's own is earlier.

        Raises:
            GatewayError: 400 `grpc_bad_timeout`; 504 `grpc_deadline` if it has passed.
        """
        values = exchange.request.headers.get_all(_TIMEOUT)
        if not values:
            return None
        try:
            (value,) = values
            due_s = exchange.started_s + parse_timeout(value)
        except ValueError:
            raise GatewayError(
                400, "grpc_bad_timeout", side=Side.DOWNSTREAM, phase=Phase.HEAD, detail=repr(values[0][:32])
            ) from None
        if exchange.deadline_s is None or due_s < exchange.deadline_s:
            exchange.deadline_s = due_s
        if due_s <= self._wheel.seconds():
            raise deadline_passed()
        return Expiry(exchange, due_s, self._wheel)


class Expiry:
    """The deadline of one call. answer: the response's body, as soon as there is one."""

    __slots__ = ("_deadline", "_exchange", "answer")

    def __init__(self, exchange: Exchange, due_s: float, wheel: Wheel) -> None:
        self._exchange = exchange
        self.answer: Body | None = None
        self._deadline: Deadline = wheel.deadline(self._expired)
        self._deadline.set_at(due_s)
        exchange.on_end(self._ended)

    def _ended(self, _: Exchange, __: Outcome) -> None:
        self._deadline.drop()

    def _expired(self) -> None:
        answer = self.answer
        if answer is not None and answer.guard is not None and not answer.ended:
            # The guard ends it with the status; what the upstream does for it is cancelled.
            answer.fail(deadline_passed())
        else:
            self._exchange.connection.fail(self._exchange, deadline_passed())


def deadline_passed() -> GatewayError:
    """The caller's own deadline."""
    return GatewayError(504, "grpc_deadline", phase=Phase.POLICY)


def with_time_left(exchange: Exchange, fields: list[wire.Field], now_s: float) -> tuple[list[wire.Field], float]:
    """A call's fields with the grpc-timeout that is left at this moment, and the same in seconds.

    Raises:
        GatewayError: 504 `grpc_deadline`: nothing is left.
    """
    left_s = (exchange.deadline_s or now_s) - now_s
    if left_s <= 0:
        raise deadline_passed()
    value = format_timeout(left_s)
    return [(field[0], field[1], value) if field[0] == _TIMEOUT else field for field in fields], left_s


def _without_body(exchange: Exchange, response: Response) -> Response:
    """An answer whose head says all, or one that is none of gRPC's: a page of a proxy on the way, say."""
    headers = response.headers
    response.body.cancel()
    fields = [field for field in headers.fields if field[0] not in _OF_CONTENT]
    fields.insert(0, (b"content-type", b"Content-Type", GRPC))
    if _STATUS not in headers:
        status = response.status
        kind = (headers.get(b"content-type") or b"without content type")[:100].decode("latin-1")
        error = GatewayError(
            status if status >= 400 else 502,
            "upstream_not_grpc",
            side=Side.UPSTREAM,
            phase=Phase.RESPONSE_HEAD,
            detail=f"{status} {kind}",
        )
        exchange.failure = exchange.failure or error
        fields += status_fields(code_of_answer(status), f"{error.reason}: HTTP status {status}")
    return Response(200, wire.Headers(fields))


def build(settings: GrpcCallSettings, around: Surroundings) -> Middleware:
    """The middleware of one route."""
    return lambda following: Grpc(following, settings.max_message, around.wheel)


GRPC_CALLS = MiddlewarePart("grpc", GrpcCallSettings, build)
