"""The target sees another path and host; what it answers follows: Location, Content-Location and the paths and domains of cookies.

A rewritten path goes through the path normaliser once more, so no rewrite can make a traversal, a control character or a query
out of what a peer sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.problems import Problems, quoted
from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Request, Response
from edgegw.exchange.patterns import Pattern, compile_pattern
from edgegw.routing.follow import Followed
from edgegw.routing.index import bare_path
from edgegw.wire.authority import AuthorityError, parse_authority
from edgegw.wire.path import PathError, normalise

_groups = re.compile(r"\\([0-9])")


class RegexRewriteSettings(Settings):
    """Replace a part of the path."""

    from_: str = Field(alias="from")
    """An RE2 expression; its first match in the path is replaced."""
    to: str
    """What stands there instead; `\\1` is the first group."""


class RewriteSettings(Settings):
    """What the target sees. In this order: `strip_prefix`, `regex`, `prefix`."""

    strip_prefix: str | None = None
    """Removed from the beginning of the path, on whole segments; the target is told in X-Forwarded-Prefix."""
    prefix: str | None = None
    """Put before the path."""
    regex: RegexRewriteSettings | None = None
    """Replace a part of the path."""
    host: str | None = None
    """The Host that the target sees, with a port if it is to have one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled rewrite. strip, prefix: without a slash at the end; regex: (pattern, template); authority: or None."""

    strip: str
    prefix: str
    regex: tuple[Pattern, bytes] | None
    authority: bytes | None

    def path(self, path: str) -> tuple[str, bool]:
        """The path that the target sees, not yet normalised, and whether the prefix was stripped."""
        stripped = self.strip != "" and _starts_with(path, self.strip)
        if stripped:
            path = "".join("/" + segment for segment in path.split("/")[self.strip.count("/") + 1 :])
        if self.regex is not None:
            pattern, template = self.regex
            made = pattern.replace_once(template, (path or "/").encode("ascii"))
            if made is not None:
                path = made.decode("latin-1")
        return self.prefix + path or "/", stripped


class Rewrite:
    """One route's rewrite around its next responder."""

    __slots__ = ("_next", "_plan")

    def __init__(self, following: Responder, plan: Plan) -> None:
        self._next = following
        self._plan = plan

    @classmethod
    def compile(cls, settings: RewriteSettings, problems: Problems) -> Middleware | None:
        """The middleware of one route; None when something is wrong with its settings.

        Args:
            problems: hand in `problems.under(..., "rewrite")`.
        """
        before = len(problems.errors)
        strip = _checked_prefix(settings.strip_prefix, problems.under("strip_prefix"))
        prefix = _checked_prefix(settings.prefix, problems.under("prefix"))
        regex = _checked_regex(settings.regex, problems.under("regex")) if settings.regex else None
        authority = _checked_host(settings.host, problems.under("host"))
        if not (settings.strip_prefix or settings.prefix or settings.regex or settings.host):
            problems.add((), "rewrite changes nothing", hint="give strip_prefix, prefix, regex or host")
        if len(problems.errors) > before:
            return None
        plan = Plan(strip, prefix, regex, authority)
        return lambda following: cls(following, plan)

    async def __call__(self, exchange: Exchange) -> Response:
        """Rewrite the request, pass it on, and rewrite what the answer says about places.

        Raises:
            GatewayError: 400 with the path normaliser's reason; 500 `bad_rewrite` if the result does not start with `/`.
        """
        plan = self._plan
        request = exchange.request
        seen_path, seen_authority = request.path, request.authority
        made, stripped = plan.path(seen_path)
        if made != seen_path:
            request.path = _normal(made)
        if stripped:
            _tell_prefix(request, plan.strip)
        if plan.authority is not None:
            request.authority = plan.authority
        response = await self._next(exchange)
        if plan.regex is not None:
            outer, inner = _ends_apart(seen_path, request.path)
        else:
            outer, inner = (plan.strip if stripped else ""), plan.prefix
        Followed(outer, inner, request.scheme, seen_authority, plan.authority).apply(response.headers)
        return response


def _checked_prefix(text: str | None, problems: Problems) -> str:
    if not text:
        return ""
    if "*" in text or "{" in text or "?" in text or ";" in text:
        problems.add(
            (), f"{quoted(text)} is not a plain path", hint="parameters and wildcards belong in match: and regex:"
        )
        return ""
    try:
        return normalise(text).path.rstrip("/")
    except PathError as error:
        problems.add((), f"{quoted(text)} is not a path: {error.detail or error.reason}", hint="/users")
        return ""


def _checked_regex(settings: RegexRewriteSettings, problems: Problems) -> tuple[Pattern, bytes] | None:
    pattern = compile_pattern(settings.from_, problems, ("from",))
    if pattern is None:
        return None
    wanted = [int(found) for found in _groups.findall(settings.to)]
    if max(wanted, default=0) > pattern.groups:
        message = f"{quoted(settings.to)} asks for group {max(wanted)}, but the regex has {pattern.groups}"
        problems.add(("to",), message, hint="groups are ( ) in from:, counted from 1")
        return None
    plain = _groups.sub("x", settings.to)
    if "\\" in plain or "?" in plain:
        problems.add(
            ("to",),
            f"{quoted(settings.to)} holds a `\\` or `?` that is not \\1 to \\9",
            hint="a path, with \\1 for groups",
        )
        return None
    try:
        normalise("/" + plain)
        return pattern, settings.to.encode("ascii")
    except (PathError, UnicodeError) as error:
        problems.add(("to",), f"{quoted(settings.to)} cannot stand in a path: {error}", hint="percent-encode it")
        return None


def _checked_host(text: str | None, problems: Problems) -> bytes | None:
    if text is None:
        return None
    try:
        raw = text.encode("ascii")
        parse_authority(raw)
        return raw
    except (AuthorityError, UnicodeError):
        problems.add((), f"{quoted(text)} is not a host", hint="api.internal, or api.internal:8080")
        return None


def _starts_with(path: str, prefix: str) -> bool:
    bare = bare_path(path) if ";" in path else path
    return bare == prefix or bare.startswith(prefix + "/")


def _normal(path: str) -> str:
    """Normalise what a rewrite made. `%2F` stays as it is: the listener's policy already judged it."""
    if not path.startswith("/"):
        detail = f"the rewrite made {path[:80]!r}, which is not a path"
        raise GatewayError(500, "bad_rewrite", side=Side.GATEWAY, phase=Phase.ROUTE, detail=detail)
    try:
        return normalise(path, "keep").path
    except PathError as error:
        raise GatewayError(
            400, error.reason, side=Side.DOWNSTREAM, phase=Phase.ROUTE, detail=f"after the rewrite: {error.detail}"
        ) from None


def _tell_prefix(request: Request, prefix: str) -> None:
    """An X-Forwarded-Prefix that is there comes from a trusted proxy, which stripped further left."""
    outer = request.headers.get(b"x-forwarded-prefix", b"") or b""
    request.headers.set(b"X-Forwarded-Prefix", outer.rstrip(b"/") + prefix.encode("ascii"))


def _ends_apart(seen: str, made: str) -> tuple[str, str]:
    """Cut off the segments at the end that both paths have in common: what is left was replaced by the regex."""
    one, two = seen.split("/"), made.split("/")
    while len(one) > 1 and len(two) > 1 and one[-1] == two[-1]:
        one.pop()
        two.pop()
    return "/".join(one), "/".join(two)
