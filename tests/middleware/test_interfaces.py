"""Tests of edgegw.middleware.interfaces: what a third party writes, as docs/how-to says it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from edgegw.config.model import Settings
from edgegw.config.problems import Problems
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.runtime.wheel import Wheel
from edgegw.testing.exchanges import make_exchange
from tests.middleware.running import Case, Target


class StampSettings(Settings):
    """Of the stamp below."""

    text: str = "stamped"


class Stamp:
    """A middleware as a third party would write it."""

    def __init__(self, following: Responder, text: str) -> None:
        self._next = following
        self._text = text

    async def __call__(self, exchange: Exchange) -> Response:
        response = await self._next(exchange)
        response.headers.set(b"X-Stamp", self._text.encode())
        return response


class PartTests(Case):
    def test_contract_settings_factory_name(self) -> None:
        part = MiddlewarePart(
            "stamp", StampSettings, lambda settings, around: lambda following: Stamp(following, settings.text)
        )
        clock = Clock()
        around = Surroundings(clock, Wheel(clock), Path(), Problems())
        layer = part.build(part.settings.model_validate({"text": "hi"}), around)(Target())
        self.assertEqual(self.respond(layer, make_exchange()).headers.get(b"x-stamp"), b"hi")

    def test_immutable(self) -> None:
        part: Any = MiddlewarePart("stamp", StampSettings, lambda settings, around: lambda following: following)
        with self.assertRaises(FrozenInstanceError):
            part.name = "other"
