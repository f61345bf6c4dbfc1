"""Why the API server's answer is of no use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.python.failure import Failure

_SHOWN = 300


class ApiError(Exception):
    """A request did not lead to what it was made for.

    status: of the answer or of the Status object in it, 0 without an answer. words: one sentence for operators. retry_after_s: how
    long the API server asks to be left alone.
    """

    def __init__(self, words: str, status: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(words)
        self.words = words
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def gone(self) -> bool:
        """Whether the version asked for is not kept any more, or not known yet: a new list is due."""
        return self.status == 410

    @property
    def unreachable(self) -> bool:
        """Whether there was no answer at all."""
        return self.status == 0


class Garbage(ApiError):
    """What came is not what the API defines."""


def from_status(data: Mapping[str, Any], status: int, retry_after_s: float = 0.0) -> ApiError:
    """The error that a Status object (or whatever came in its place) tells."""
    code, message = data.get("code"), data.get("message")
    found = code if isinstance(code, int) and not isinstance(code, bool) and 100 <= code <= 599 else status
    if data.get("reason") in ("Expired", "Gone"):
        found = 410
    words = one_line(message) if isinstance(message, str) and message else "it does not say why"
    if _too_large(data):
        # The version is ahead of the server's: it was restored from a backup, or another one answers.
        return ApiError(f"the API server does not know the version asked for: {words}", 410, retry_after_s)
    details = data.get("details")
    after = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    if isinstance(after, int) and 0 < after < 3600:
        retry_after_s = max(retry_after_s, float(after))
    return ApiError(f"the API server answered {found}: {words}", found, retry_after_s)


def _too_large(data: Mapping[str, Any]) -> bool:
    details = data.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    if not isinstance(causes, list):
        return False
    return any(isinstance(each, dict) and each.get("reason") == "ResourceVersionTooLarge" for each in causes)


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
