"""What third parties might bring: good and bad middleware, as entry points. `foreign_exits` ends the process on import."""

from importlib.metadata import EntryPoint
from typing import Any

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.units import Duration
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.interfaces import ENTRY_POINTS, MiddlewarePart, Responder, Surroundings


class Inner(Settings):
    deep: int = Field(description="A number.")


class StampSettings(Settings):
    text: str = Field(description="What to stamp.")
    wait: Duration = Field(default=1.0, description="How long.")
    inner: Inner | None = Field(default=None, description="More.")
    file: str | None = Field(default=None, description="A file.")


class Stamp:
    def __init__(self, following: Responder, text: str) -> None:
        self._next = following
        self._text = text.encode()

    async def __call__(self, exchange: Exchange) -> Response:
        response = await self._next(exchange)
        response.headers.add(b"X-Stamp", self._text)
        return response


def build(settings: StampSettings, around: Surroundings) -> Any:
    if settings.text == "raise":
        raise ValueError("cannot stamp\nthis")
    if settings.text == "exit":
        raise SystemExit(3)
    if settings.text == "report":
        around.problems.add(("text",), "this text cannot be stamped")
    if settings.text == "fold":
        return lambda following: following.missing
    if settings.text == "nothing":
        return lambda following: None
    if settings.file is not None and not (around.base_dir / settings.file).exists():
        around.problems.add(("file",), f"{settings.file} does not exist")
    return lambda following: Stamp(following, settings.text)


STAMP = MiddlewarePart("stamp", StampSettings, build)
OTHER = MiddlewarePart("other", StampSettings, build)
THIEF = MiddlewarePart("body_limit", StampSettings, build)
SHAPELESS = MiddlewarePart("shapeless", dict, build)  # type: ignore[arg-type]
UNBUILT = MiddlewarePart("unbuilt", StampSettings, None)  # type: ignore[arg-type]
NO_PART = object()


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, f"tests.gateway.{value}", ENTRY_POINTS)


POINTS = [
    point("stamp", "foreign:STAMP"),
    point("stamp", "foreign:STAMP"),
    point("twice", "foreign:STAMP"),
    point("twice", "foreign:OTHER"),
    point("renamed", "foreign:THIEF"),
    point("headers", "foreign:STAMP"),
    point("shapeless", "foreign:SHAPELESS"),
    point("unbuilt", "foreign:UNBUILT"),
    point("nopart", "foreign:NO_PART"),
    point("absent", "foreign:ABSENT"),
    point("gone", "no_such_module:PART"),
    point("exits", "foreign_exits:PART"),
]
