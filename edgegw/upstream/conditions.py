"""On what another attempt is made: the words of `retry.on`, and which errors and answers they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from edgegw.config.problems import kind_of, quoted
from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.model import Response
from edgegw.wire.grpc import Code

WORDS = ("connect", "refused", "reset", "refused_stream", "timeout", "garbage", "gateway_error")
"""Everything but statuses and codes. What they mean stands in `RetrySettings`."""

CODES = {code.name.lower(): code for code in Code if code is not Code.OK}
"""What a gRPC call may end with, by the name that operators write."""

_LOWEST, _HIGHEST = 400, 599
_GATEWAY_ERRORS = (502, 503, 504)
_RANGE = re.compile(r"([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?")
_CLASS = re.compile(r"([45])xx")

_KINDS = {
    "upstream_refused_stream": "refused_stream",
    "upstream_closed": "reset",
    "upstream_ping_timeout": "reset",
    "upstream_reset": "reset",
    "upstream_tls": "reset",
    "try_timeout": "timeout",
    "upstream_head_timeout": "timeout",
    "upstream_send_timeout": "timeout",
}
"""Of the reasons that errors have once a connection stands; before that all are `connect`."""


def read_condition(value: object) -> object:
    """`reset`, `503`, `5xx`, `500-503`, `unavailable` ... as text. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"must be a condition such as reset, 503 or unavailable, not {kind_of(value)}")
    text = str(value).strip()
    if text in WORDS or text in CODES or _CLASS.fullmatch(text):
        return text
    if text[:1].isdigit():
        _statuses(text)
        return text
    near = get_close_matches(text.lower(), [*WORDS, *CODES, "4xx", "5xx"], 1)
    tail = f"did you mean {near[0]}?" if near else f"there are {', '.join(WORDS)}, statuses and gRPC codes"
    raise ValueError(f"{quoted(text)} is no condition; {tail}")


def _statuses(text: str) -> range:
    """Raises ValueError."""
    found = _RANGE.fullmatch(text)
    if found is None:
        raise ValueError(f"must be a status such as 503, 5xx or 500-504, not {quoted(text)}")
    low, high = int(found[1]), int(found[2] or found[1])
    if low > high:
        raise ValueError(f"write {high}-{low}, not {text}: the lower status comes first")
    if low < _LOWEST or high > _HIGHEST:
        raise ValueError(f"{text} is not an error: statuses from {_LOWEST} to {_HIGHEST} can be tried again")
    return range(low, high + 1)


Condition = Annotated[
    str,
    BeforeValidator(read_condition),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": [*WORDS, *CODES]},
                {"type": "string", "pattern": "^([45]xx|[45][0-9]{2}(-[45][0-9]{2})?)$"},
                {"type": "integer", "minimum": _LOWEST, "maximum": _HIGHEST},
            ]
        }
    ),
]
"""One entry of `retry.on`."""


class Conditions:
    """The entries of `on`, compiled. `judges`: there are some that answers can meet.

    Args:
        on: as `read_condition` gave them.
    """

    __slots__ = ("_codes", "_statuses", "_words", "judges")

    def __init__(self, on: Sequence[str]) -> None:
        statuses: set[int] = set()
        codes: set[bytes] = set()
        for each in on:
            digit = _CLASS.fullmatch(each)
            if each in CODES:
                codes.add(b"%d" % CODES[each])
            elif each == "gateway_error":
                statuses.update(_GATEWAY_ERRORS)
            elif digit is not None:
                statuses.update(range(int(digit[1]) * 100, int(digit[1]) * 100 + 100))
            elif each not in WORDS:
                statuses.update(_statuses(each))
        self._words = frozenset(on) & frozenset(WORDS)
        self._statuses = frozenset(statuses)
        self._codes = frozenset(codes)
        self.judges = bool(statuses or codes)

    def of_error(self, error: GatewayError, repeatable: bool) -> bool:
        """Whether what ended in this error may be tried again.

        Args:
            repeatable: doing it twice does no harm.
        """
        kind = kind_of_error(error)
        if kind not in self._words and not (error.reason == "connect_refused" and "refused" in self._words):
            return False
        if kind in ("timeout", "garbage"):
            # The error itself says never, for all who did not ask for it.
            return repeatable or error.retry is Retry.ALWAYS
        return error.retry is Retry.ALWAYS or (repeatable and error.retry is Retry.IF_IDEMPOTENT)

    def of_answer(self, response: Response, repeatable: bool) -> str:
        """What of an answer is a reason to try again: `status_503`, `grpc_unavailable`; empty if nothing is.

        A code counts when there is nothing but a head: then no message was sent. Whoever names one says that calls which end in it
        may be made again, whatever they do, since a gRPC call does not say that by its method.
        """
        if repeatable and response.status in self._statuses:
            return f"status_{response.status}"
        if self._codes and response.body.ended and not response.body.size:
            code = response.headers.get(b"grpc-status")
            if code is not None and code in self._codes:
                return f"grpc_{Code(int(code)).name.lower()}"
        return ""

    def __repr__(self) -> str:
        return f"<Conditions {sorted(self._words)} {sorted(self._statuses)} {sorted(self._codes)}>"


def kind_of_error(error: GatewayError) -> str:
    """The word for it, or nothing if it is none that another attempt could mend."""
    found = _KINDS.get(error.reason, "")
    if error.phase is Phase.CONNECT:
        return "connect" if error.retry is Retry.ALWAYS and found in ("", "reset") else found
    if not found and error.side is Side.UPSTREAM and error.phase is Phase.RESPONSE_HEAD and error.status == 502:
        return "garbage"
    return found
