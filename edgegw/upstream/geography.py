"""In which order a client is served by zones, by where it is."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from edgegw.config.problems import Problems
from edgegw.exchange.model import Exchange
from edgegw.net.addresses import parse_network
from edgegw.net.geo import NOWHERE, GeoDatabase, GeoDatabases, GeoUnreadable, Place
from edgegw.upstream.groups import Order
from edgegw.upstream.tiers import GeoSettings

MEMO = 8192
EARTH_KM = 6371.0


class Geography:
    """The order of zones for each client.

    Args:
        settings: at `tiers.geo`. database: where addresses are, if the settings name one.
    """

    def __init__(self, settings: GeoSettings, database: GeoDatabase | None) -> None:
        self.settings = settings
        self.database = database
        self.usual: Order = _once(settings.default)
        """For clients of whom nothing is known."""
        self._header = settings.header.lower().encode("ascii") if settings.header is not None else None
        self._regions = {country: _once(zones) for country, zones in settings.regions.items()}
        networks = [(parse_network(text), _once(zones)) for text, zones in settings.networks.items()]
        self._networks = sorted(networks, key=lambda each: -each[0].prefixlen)
        self._of_network = lru_cache(maxsize=MEMO)(self._look_through)
        self._of_place = lru_cache(maxsize=MEMO)(self._preference)

    @classmethod
    def load(
        cls, settings: GeoSettings | None, databases: GeoDatabases, problems: Problems, base_dir: Path
    ) -> Geography | None:
        """What `tiers.geo` says; None if it says nothing, or something that cannot be used.

        Args:
            problems: placed at `tiers.geo`. base_dir: what the database's path is relative to.
        """
        if settings is None:
            return None
        if settings.database is None:
            return cls(settings, None)
        try:
            database = databases.open((base_dir / settings.database).absolute())
        except GeoUnreadable as error:
            hint = (
                "GeoLite2-Country.mmdb from MaxMind is one such file; paths are relative to the configuration's folder"
            )
            problems.add(("database",), f"{settings.database} {error}", hint)
            return None
        if database.failure:
            problems.warn(("database",), f"{settings.database} {database.failure}; what was read before stays in use")
        return cls(settings, database)

    def order(self, exchange: Exchange) -> Order:
        """Zones for this exchange, most wanted first; empty if all are alike."""
        client = exchange.client
        if self._networks:
            zones = self._of_network(client)
            if zones is not None:
                return zones
        place = self.database.place(client) if self.database is not None else NOWHERE
        if self._header is not None:
            country = self._said(exchange)
            if country:
                place = Place(country, place.latitude, place.longitude)
        return self._of_place(place)

    def _said(self, exchange: Exchange) -> str:
        """The country by the header of a trusted proxy, if it says one thing that can be a country."""
        said = exchange.request.headers.get_all(self._header or b"")
        if len(said) != 1 or len(said[0]) != 2 or not said[0].isalpha():
            return ""
        connection = exchange.connection
        if connection.peer not in connection.listener.trusted:
            return ""
        code = said[0].decode("ascii").upper()
        # XX is Cloudflare's word for unknown.
        return "" if code == "XX" else code

    def _look_through(self, client: str) -> Order | None:
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return None
        return next((zones for network, zones in self._networks if address in network), None)

    def _preference(self, place: Place) -> Order:
        preferred = self._regions.get(place.country)
        if preferred is not None:
            return preferred
        if self.settings.nearest and place.latitude is not None and place.longitude is not None:
            here = (place.latitude, place.longitude)
            places = self.settings.places
            return tuple(sorted(places, key=lambda zone: (distance_km(here, places[zone]), zone)))
        return self.usual

    def tick(self) -> None:
        """Some time went by: the database may be another one."""
        if self.database is not None:
            self.database.tick()

    def __repr__(self) -> str:
        return f"<Geography of {len(self._regions)} countries by {self.database or self.settings.header or 'networks'}>"


def _once(zones: Iterable[str]) -> Order:
    return tuple(dict.fromkeys(zones))


def distance_km(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Along the great circle, between two places in degrees (the haversine formula)."""
    latitude, other = math.radians(here[0]), math.radians(there[0])
    north = math.sin((other - latitude) / 2) ** 2
    east = math.sin(math.radians(there[1] - here[1]) / 2) ** 2
    part = north + math.cos(latitude) * math.cos(other) * east
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, part)))
