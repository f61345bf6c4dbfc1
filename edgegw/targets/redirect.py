"""`redirect:` an answer that leads elsewhere, made of text checked at load and of parts that were validated on arrival."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Literal, NamedTuple
from urllib.parse import quote

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.problems import Problems, quoted
from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.model import Exchange, Request, Response
from edgegw.wire.headers import Headers

_BUILT_IN = ("path", "query", "host")
_placeholder = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_split = re.compile(r"((?:https?://)?)((?:(?<=//)[^/?#]*)?)([^?#]*)((?:\?[^#]*)?)((?:#.*)?)", re.DOTALL)
_is_label = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?").fullmatch
_to_escape = re.compile(r"[^A-Za-z0-9\-._~%/]").sub

Fill = Callable[[Request], str]


class RedirectSettings(Settings):
    """An answer that leads elsewhere."""

    to: str = Field(
        description="An absolute URL or path. `{name}` is a parameter of the match, `{path}` what `**` captured (without one: the "
        "whole path without its first slash), `{query}` the query, `{host}` the host of the request.",
        examples=["https://new.example.com/{path}"],
    )
    status: Literal[301, 302, 303, 307, 308] = Field(307, description="301 and 308 are remembered by browsers.")


class Part(NamedTuple):
    """A piece of the Location: text, and the placeholder behind it."""

    text: str
    fill: Fill | None


class Redirect:
    """A responder that answers with a Location."""

    __slots__ = ("_parts", "_status")

    def __init__(self, status: int, parts: list[Part]) -> None:
        self._status = status
        self._parts = parts

    @classmethod
    def compile(
        cls, settings: RedirectSettings, problems: Problems, parameters: Collection[str] | None = None
    ) -> Redirect | None:
        """None when something is wrong with the settings.

        Args:
            problems: hand in `problems.under(..., "redirect")`.
            parameters: what the route's match captures, when that is to be checked.
        """
        before = len(problems.errors)
        here = problems.under("to")
        text = settings.to
        if not text.startswith(("/", "http://", "https://")) or text.startswith("//"):
            here.add(
                (), f"{quoted(text)} is neither a path nor an http URL", hint="/new or https://new.example.com/{path}"
            )
        bare = _placeholder.sub("", text)
        if "{" in bare or "}" in bare:
            here.add(
                (), f"{quoted(text)} has a brace that is not part of a placeholder", hint="{name}; literal: %7B and %7D"
            )
        if any(not "!" <= char <= "~" for char in bare) or any(char in bare for char in '\\"<>^`|'):
            here.add((), f"{quoted(text)} holds a character that cannot stand in a URL", hint="percent-encode it")
        for name in _placeholder.findall(text):
            if parameters is not None and name not in parameters and name not in _BUILT_IN:
                known = ", ".join(sorted({*parameters, *_BUILT_IN}))
                here.add((), f"{{{name}}} is not a parameter of this route's match; there are {known}")
        return cls(settings.status, _parts(text)) if len(problems.errors) == before else None

    async def __call__(self, exchange: Exchange) -> Response:
        """The answer.

        Raises:
            GatewayError: 400 `bad_redirect` if a parameter can't stand in a host name, 500 if the match doesn't capture it.
        """
        request = exchange.request
        location = "".join(part.text + part.fill(request) if part.fill else part.text for part in self._parts)
        if location.startswith("//"):
            # An empty `{path}` before a slash must not turn the next segment into a host.
            location = "/" + location.lstrip("/")
        headers = Headers.of([(b"Location", location.removesuffix("?").encode("ascii"))])
        return Response(self._status, headers)


def _parts(text: str) -> list[Part]:
    found = _split.fullmatch(text)
    assert found is not None  # every group may be empty, and together they take any text
    scheme, authority, path, query, fragment = found.groups()
    parts = [Part(scheme, None)]
    for piece, safe in ((authority, _in_authority), (path, _in_path), (query, _in_query), (fragment, _in_query)):
        at = 0
        for placeholder in _placeholder.finditer(piece):
            parts.append(Part(piece[at : placeholder.start()], safe(placeholder[1])))
            at = placeholder.end()
        parts.append(Part(piece[at:], None))
    return [part for part in parts if part.text or part.fill]


def _in_authority(name: str) -> Fill:
    """A host, or labels of one: nothing that would end the authority or name a user."""
    if name == "host":
        return lambda request: f"[{request.host}]" if ":" in request.host else request.host

    def fill(request: Request) -> str:
        value = _value(name, request)
        if not _is_label(value):
            detail = f"{{{name}}} cannot stand in a host name: {value[:80]!r}"
            raise GatewayError(400, "bad_redirect", side=Side.DOWNSTREAM, phase=Phase.ROUTE, detail=detail)
        return value

    return fill


def _in_path(name: str) -> Fill:
    """Parameters are pieces of a normalised path, so they can stand in another one as they are."""
    if name == "query":
        return lambda request: quote(request.query or "", safe="")
    return lambda request: _value(name, request)


def _in_query(name: str) -> Fill:
    if name == "query":
        return lambda request: request.query or ""
    return lambda request: _to_escape(lambda char: f"%{ord(char[0]):02X}", _value(name, request))


def _value(name: str, request: Request) -> str:
    value = request.params.get(name)
    if value is not None:
        return value
    if name == "path":
        return request.path[1:]
    if name == "host":
        return quote(request.host, safe="")
    detail = f"the match captures no {{{name}}}"
    raise GatewayError(500, "bad_redirect", side=Side.GATEWAY, phase=Phase.ROUTE, detail=detail)
