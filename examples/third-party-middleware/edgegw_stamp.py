"""A middleware that puts a field of the operator's choice into every answer.

routes:
  - {match: "/**", to: app, middleware: [{use: stamp, with: {text: hello}}]}
"""

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.interfaces import Middleware, MiddlewarePart, Responder, Surroundings


class StampSettings(Settings):
    """What `with:` may say; `edgegw check` refuses everything else."""

    text: str = Field(description="Value of the X-Stamp field.", examples=["hello"])


class Stamp:
    """Adds X-Stamp to the answer of whatever stands behind it."""

    def __init__(self, following: Responder, value: bytes) -> None:
        self._next = following
        self._value = value

    async def __call__(self, exchange: Exchange) -> Response:
        response = await self._next(exchange)
        response.headers.add(b"X-Stamp", self._value)
        return response


def build(settings: StampSettings, around: Surroundings) -> Middleware:
    """Called once for each use in the configuration; what can be prepared is prepared here."""
    if not settings.text.isascii():
        around.problems.add(("text",), "a header value must be ASCII")
    value = settings.text.encode("ascii", "replace")
    return lambda following: Stamp(following, value)


STAMP = MiddlewarePart("stamp", StampSettings, build)
