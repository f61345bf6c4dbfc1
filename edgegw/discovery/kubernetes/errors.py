"""What the API server says when it does not give what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgegw.discovery.api.errors import ApiError, one_line


def is_gone(error: ApiError) -> bool:
    """Whether the version asked for is not kept any more, or not known yet: a new list is due."""
    return error.status == 410


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
