"""What an operator says about tiers: the order of zones inside a tier, and when the next group gets some."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, field_validator, model_validator

from edgegw.config.model import Settings
from edgegw.config.problems import kind_of, quoted
from edgegw.config.units import TYPE_KEY, format_percent
from edgegw.net.addresses import parse_network

REST = "*"
"""In an order of zones: all that it does not name."""

_SPILL = re.compile(r"([0-9]{1,4}(?:\.[0-9]+)?)\s*%")
_COUNTRY = re.compile(r"[A-Z]{2}")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def parse_spill(value: object) -> object:
    """`140%` as 1.4, from 100% to 1000%. Raises ValueError."""
    found = _SPILL.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            f"must be a share such as 140%, not {quoted(value) if isinstance(value, str) else kind_of(value)}"
        )
    if not 100 <= float(found[1]) <= 1000:
        raise ValueError(f"must be from 100% to 1000%, not {quoted(found[0])}")
    return round(float(found[1]) / 100, 9)


_SPILL_SCHEMA: dict[str, Any] = {
    "type": "string",
    "pattern": r"^([0-9]{3,4}(\.[0-9]+)?\s*%)$",
    TYPE_KEY: "percent",
    "examples": ["140%"],
}

Spill = Annotated[
    float,
    BeforeValidator(parse_spill),
    PlainSerializer(format_percent, when_used="json"),
    WithJsonSchema(_SPILL_SCHEMA),
]
"""1.0 to 10.0, from `140%`."""


class GeoSettings(Settings):
    """Zones by where the client is. What finds no preference goes to `default`, and without that to all zones alike."""

    database: str | None = Field(
        default=None,
        description="File in the MaxMind format, of countries or of cities; it is read again when it changes.",
        examples=["geo/GeoLite2-Country.mmdb"],
    )
    header: str | None = Field(
        default=None,
        description="Header by which a proxy before us says the country; believed of `trusted_proxies` only, and more than the "
        "database.",
        examples=["CF-IPCountry"],
    )
    networks: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Zones by the client's network, most wanted first; the longest prefix wins, before any country.",
        examples=[{"10.1.0.0/16": ["eu"]}],
    )
    regions: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Zones by the client's country (two letters, ISO 3166), most wanted first.",
        examples=[{"DE": ["eu", "us"], "US": ["us"]}],
    )
    default: tuple[str, ...] = Field(
        default=(), description="Zones for everybody else, most wanted first.", examples=[["us"]]
    )
    nearest: bool = Field(
        default=False, description="A client whose country is not in `regions` gets the zones by distance."
    )
    places: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="Latitude and longitude of zones, in degrees, for `nearest`.",
        examples=[{"eu": [50.1, 8.7], "us": [39.0, -77.5]}],
    )

    @field_validator("header")
    @classmethod
    def _is_name(cls, value: str | None) -> str | None:
        if value is not None and not _TOKEN.fullmatch(value):
            raise ValueError(f"{quoted(value)} is not the name of a header")
        return value

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for text in value:
            parse_network(text)
        return value

    @field_validator("regions")
    @classmethod
    def _are_countries(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for code in value:
            if not _COUNTRY.fullmatch(code):
                raise ValueError(f"{quoted(code)} is not a country; write two capital letters, such as DE")
        return value

    @field_validator("places")
    @classmethod
    def _are_on_earth(cls, value: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for zone, (latitude, longitude) in value.items():
            if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
                raise ValueError(f"{quoted(zone)} must be [latitude, longitude], in degrees")
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> GeoSettings:
        if self.database is None and self.header is None and not self.networks:
            raise ValueError("must say how clients are found: database, header or networks")
        if self.nearest and (self.database is None or not self.places):
            raise ValueError("nearest needs a database with coordinates, and places")
        return self


class TierSettings(Settings):
    """Endpoints are used by tier (`tier: 0` first), within a tier in an order of zones. At most one of zone, zones and geo."""

    zone: str | None = Field(
        default=None, description="The zone that comes first; the others follow as one group.", examples=["eu-1a"]
    )
    zones: tuple[str, ...] = Field(
        default=(),
        description="Zones in the order they are used; `*` is all others, which come last if it is left out.",
        examples=[["eu-1a", "eu-1b"]],
    )
    geo: GeoSettings | None = Field(default=None, description="An order of zones for each client, by where it is.")
    spill: Spill = Field(
        default=1.4,
        description="A group takes the share of its endpoints that are free, times this, up to all; the next group gets the rest. "
        "At 140% a group keeps everything while 72% of it are free.",
        examples=["100%"],
    )

    @field_validator("zones")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("names a zone twice")
        return value

    @model_validator(mode="after")
    def _one_order(self) -> TierSettings:
        if (self.zone is not None) + bool(self.zones) + (self.geo is not None) > 1:
            raise ValueError("must have at most one of zone, zones and geo")
        return self

    @property
    def order(self) -> tuple[str, ...]:
        """Zones, most wanted first, as far as they are the same for every client."""
        return self.zones if self.zone is None else (self.zone,)
