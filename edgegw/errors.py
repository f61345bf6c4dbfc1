"""What can go wrong on the data path: one error type that says whose fault, in which phase, and whether to try again.

An error is raised where it is known and rendered once, by `edgegw.exchange.render`. After Pingora's `pingora-error`: the retry
decision travels with the error, so nobody above has to guess it from a type or a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum


class Side(Enum):
    """Whose fault it is."""

    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


class Phase(Enum):
    """Where in the life of an exchange it happened."""

    HEAD = "head"
    BODY = "body"
    ROUTE = "route"
    POLICY = "policy"
    CHOOSE = "choose"
    CONNECT = "connect"
    SEND = "send"
    RESPONSE_HEAD = "response_head"
    RESPONSE_BODY = "response_body"


class Retry(Enum):
    """Whether another attempt may be made.

    NEVER; IF_IDEMPOTENT: the request may have been processed, though no byte of an answer came; ALWAYS: it was not sent.
    """

    NEVER = "never"
    IF_IDEMPOTENT = "if_idempotent"
    ALWAYS = "always"


class GatewayError(Exception):
    """One failed exchange or attempt.

    Args:
        status: the HTTP status a downstream peer gets, 400-599 (499 is log-only: the downstream peer left).
        reason: a short stable name in snake_case, used as metric label and log flag (`both_te_cl`, `upstream_reset`).
        side, phase, retry: see the enums.
        detail: one sentence for operators' logs; never sent to a peer.
        headers: extra (name, value) pairs for the rendered response (`Allow`, `Retry-After`).
        close: the downstream connection can't be used after the answer.
    """

    def __init__(  # noqa: PLR0913 - each says something that another place decides by.
        self,
        status: int,
        reason: str,
        *,
        side: Side = Side.GATEWAY,
        phase: Phase = Phase.ROUTE,
        retry: Retry = Retry.NEVER,
        detail: str = "",
        headers: Sequence[tuple[bytes, bytes]] = (),
        close: bool = False,
    ) -> None:
        super().__init__(reason, detail)
        self.status = status
        self.reason = reason
        self.side = side
        self.phase = phase
        self.retry = retry
        self.detail = detail
        self.headers = tuple(headers)
        self.close = close

    def __str__(self) -> str:
        tail = f": {self.detail}" if self.detail else ""
        return f"{self.status} {self.reason} ({self.side.value}, {self.phase.value}){tail}"

    __repr__ = __str__
