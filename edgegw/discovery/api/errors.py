"""Why an answer is of no use, or why there is none."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectingCancelledError
from twisted.python.failure import Failure

_SHOWN = 300


class ApiError(Exception):
    """A request did not lead to what it was made for.

    status: of the answer, 0 without one. words: one sentence for operators. retry_after_s: how long the other side asks to be left
    alone.
    """

    def __init__(self, words: str, status: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(words)
        self.words = words
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def unreachable(self) -> bool:
        """Whether there was no answer at all."""
        return self.status == 0


class Garbage(ApiError):
    """What came is not what the API defines."""


class CredentialsError(ApiError):
    """There is no way to the API, or nothing to show there."""


def one_line(text: str) -> str:
    """A message as logs show it: printable, of bounded length."""
    return "".join(char if char.isprintable() else " " for char in text[:_SHOWN]) + (
        "..." if len(text) > _SHOWN else ""
    )


def reasons(error: BaseException | None) -> str:
    """What is behind an error of Twisted's HTTP client, which packs it into lists of failures."""
    inner = getattr(error, "reasons", None)
    if isinstance(inner, list) and inner and isinstance(inner[0], Failure):
        return reasons(inner[0].value)
    try:
        words = str(error)
    except TypeError:
        # Twisted's connection errors join their arguments, and not all of these are texts.
        words = ", ".join(map(str, error.args)) if error is not None else ""
    return (words or type(error).__name__)[:300]


def is_cancelled(error: BaseException | None) -> bool:
    """Whether somebody gave the request up; the HTTP client packs that like everything else."""
    inner = getattr(error, "reasons", None)
    if isinstance(inner, list):
        return any(isinstance(each, Failure) and is_cancelled(each.value) for each in inner)
    return isinstance(error, (CancelledError, ConnectingCancelledError))
