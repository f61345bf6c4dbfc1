"""What answers when a route's own target cannot: another upstream, or a fixed answer.

Only while nothing was sent downstream, and only with a body that is still here: what the first target reads of it is kept, up to a
limit. Another upstream gets a request that may have been processed already only if doing it twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.config.units import StatusRange, StatusRanges
from edgegw.errors import GatewayError, Side
from edgegw.exchange.body import Body
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.exchange.render import grpc_type
from edgegw.exchange.replay import Replay
from edgegw.targets.respond import RespondSettings
from edgegw.upstream.conditions import kind_of_error
from edgegw.upstream.retry import IDEMPOTENT
from edgegw.wire.websocket import WEBSOCKET

Trouble = Literal["breaker", "no_endpoint", "bulkhead", "connect", "reset", "timeout"]
"""Why an upstream did not answer, as `on` names it."""

_REASONS: dict[str, Trouble] = {
    "breaker_refuses": "breaker",
    "no_endpoint": "no_endpoint",
    "bulkhead_full": "bulkhead",
    "bulkhead_timeout": "bulkhead",
    "pool_queue_full": "bulkhead",
    "pool_queue_timeout": "bulkhead",
}
_KINDS: dict[str, Trouble] = {
    "connect": "connect",
    "refused_stream": "connect",
    "reset": "reset",
    "garbage": "reset",
    "timeout": "timeout",
}
"""The words of `retry.on`."""

_UNSENT = frozenset({"breaker", "no_endpoint", "bulkhead", "connect"})

KEPT = 65536
"""Bytes of a request's body that are kept for the other one."""


class FallbackSettings(Settings):
    """What answers in the target's place; `fallback: other` is short for `fallback: {to: other}`."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda name: {"to": name}, "the name of an upstream")

    to: str | None = Field(default=None, description="Another upstream.", examples=["static"])
    meta: dict[str, str] = Field(
        default_factory=dict, max_length=8, description="Only endpoints of `to` that have these facts in their `meta`."
    )
    respond: RespondSettings | None = Field(
        default=None, description="A fixed answer; gRPC calls get the error itself, which is a grpc-status."
    )
    on: tuple[Trouble | StatusRanges, ...] = Field(
        default=("breaker", "no_endpoint", "bulkhead", "connect"),
        min_length=1,
        description="When: the `breaker` refuses, there is `no_endpoint`, the `bulkhead` or the pool is full, no endpoint could be "
        "connected to (`connect`), one broke off (`reset`) or did not answer in time (`timeout`), or statuses of an answer.",
        examples=[["breaker", "no_endpoint", "502-504"]],
    )

    @model_validator(mode="after")
    def _one_answer(self) -> Any:
        if (self.to is None) == (self.respond is None):
            raise ValueError("takes either `to` or `respond`")
        if self.meta and self.to is None:
            raise ValueError("has `meta`, which says which endpoints of `to`, and no `to`")
        return self


def trouble(error: GatewayError) -> Trouble | None:
    """What `on` calls this error; None for what is not the upstream's."""
    named = _REASONS.get(error.reason) or _KINDS.get(kind_of_error(error))
    # What else an upstream may do instead of answering.
    return named or ("reset" if error.side is Side.UPSTREAM else None)


class Fallback:
    """Asks its target, and another one if that cannot answer.

    Args:
        target: whom first. other: whom then. fixed: the other one looks at no request. count: told the reason each time.
    """

    __slots__ = ("_count", "_fixed", "_on", "_other", "_statuses", "_target")

    def __init__(
        self,
        target: Responder,
        other: Responder,
        settings: FallbackSettings,
        count: Callable[[str], None],
    ) -> None:
        self._target = target
        self._other = other
        self._fixed = settings.respond is not None
        self._on = frozenset(each for each in settings.on if isinstance(each, str))
        self._statuses: tuple[StatusRange, ...] = tuple(
            each for some in settings.on if not isinstance(some, str) for each in some
        )
        self._count = count

    async def __call__(self, exchange: Exchange) -> Response:
        """The target's answer, or the other one's.

        Raises:
            GatewayError: the target's own, where the other one may not answer; else the other one's.
        """
        body = exchange.request.body
        kept = None if body.empty or WEBSOCKET in exchange.head.upgrade else Kept(body)
        if kept is not None:
            exchange.request.body = kept.body
        try:
            response = await self._target(exchange)
        except GatewayError as error:
            if not self._helps(exchange, error, kept or body):
                _give_up(kept)
                raise
            return await self._instead(exchange, error.reason, kept)
        except BaseException:
            _give_up(kept)
            raise
        if self._statuses and self._is_no_answer(exchange, response, kept):
            response.body.cancel()
            return await self._instead(exchange, f"status_{response.status}", kept)
        if kept is not None:
            kept.settle()
        return response

    def _helps(self, exchange: Exchange, error: GatewayError, upload: Kept | Body) -> bool:
        found = trouble(error)
        if found not in self._on or (self._fixed and grpc_type(exchange)):
            return False
        if self._fixed:
            return True
        if found not in _UNSENT and exchange.request.method not in IDEMPOTENT:
            return False
        return upload.possible if isinstance(upload, Kept) else upload.empty or not upload.started

    def _is_no_answer(self, exchange: Exchange, response: Response, kept: Kept | None) -> bool:
        if response.takeover is not None or not any(response.status in each for each in self._statuses):
            return False
        if self._fixed:
            return not grpc_type(exchange)
        return exchange.request.method in IDEMPOTENT and (kept is None or kept.possible)

    async def _instead(self, exchange: Exchange, reason: str, kept: Kept | None) -> Response:
        self._count(reason)

        def flag(_: Exchange, outcome: Outcome) -> None:
            # An answer that went wrong after all has a reason of its own.
            if outcome.error is None and not exchange.flag:
                exchange.flag = f"fallback:{reason}"

        exchange.on_end(flag)
        if self._fixed:
            _give_up(kept)
        elif kept is not None:
            exchange.request.body = kept.again()
        response = await self._other(exchange)
        if self._fixed and WEBSOCKET in exchange.head.upgrade and exchange.head.version != "2":
            # What comes behind a handshake that failed may be frames as well as requests.
            response.close = True
        return response

    def __repr__(self) -> str:
        return f"<Fallback {self._target!r} or {self._other!r}>"


def _give_up(kept: Kept | None) -> None:
    if kept is not None:
        kept.give_up()


class Kept:
    """A request's body that two targets may read, one after the other: what the first reads of it is kept, up to a limit.

    `body` is what the next one reads.
    """

    __slots__ = ("_inner", "_last", "_replay", "_started", "_unwanted", "body")

    def __init__(self, inner: Body, limit: int = KEPT) -> None:
        self._inner = inner
        self._replay = Replay(inner, limit)
        self._last = self._started = self._unwanted = False
        self.body = Body(inner.length, self)

    @property
    def possible(self) -> bool:
        """Everything that was read is still here, and the rest will come."""
        return self._replay.possible and self._inner.error is None

    def again(self) -> Body:
        """The whole body once more, for the last time."""
        self._replay.detach()
        self._last, self._started, self._unwanted = True, False, False
        self.body = Body(self._inner.length, self)
        return self.body

    def settle(self) -> None:
        """Nobody will read it again: nothing is kept any more."""
        self._last = True
        if self._unwanted:
            self._replay.cancel()
        elif self._started:
            self._replay.settle()

    def give_up(self) -> None:
        """Nobody will read the rest."""
        self._last = True
        self._replay.cancel()

    # The source of `body`.

    def start(self) -> None:
        """`BodySource`."""
        self._started = True
        self._replay.attach(self.body)
        if self._last:
            self._replay.settle()

    def pause(self) -> None:
        """`BodySource`."""
        self._replay.pause()

    def resume(self) -> None:
        """`BodySource`."""
        self._replay.resume()

    def cancel(self) -> None:
        """`BodySource`. As long as another may read it, the rest only waits."""
        if self._last:
            self._replay.cancel()
        else:
            self._unwanted = True
            self._replay.detach()

    def __repr__(self) -> str:
        return f"<Kept {self._replay!r}>"
