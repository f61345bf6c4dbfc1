"""Where an address is: files in the MaxMind format, looked up in memory and read again when they change.

The file's content is copied into memory, and the reader is the library's own in Python, not its C extension: a map of a file that
somebody overwrites in place with something shorter kills the process, and so does the extension on some damaged files
(`test_damage_never_raises_anything_else` found them in a second). A look-up takes 60 us instead of 5 us, once for each client.
"""

from __future__ import annotations

import io
import ipaddress
import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import maxminddb
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

LOOK_S = 2.0
"""Time between two looks at the file."""

MEMO = 8192
"""Addresses whose places are remembered."""

LARGEST = 1 << 30
"""Bytes that a database may have."""

_PROBED = 256
_log = Logger()

Signature = tuple[int, int, int, int, int]
Record = Mapping[str, Any]


class Place(NamedTuple):
    """What a database says of an address. country: ISO 3166, two capital letters, or empty. The rest in degrees, if it is known."""

    country: str = ""
    latitude: float | None = None
    longitude: float | None = None


NOWHERE = Place()


class GeoUnreadable(Exception):
    """The file cannot be used; the text says why, for an operator."""


class GeoDatabase:
    """One file. A look-up never raises; what is not found is `NOWHERE`.

    Args:
        path: of the file. reactor: clock, and threads for reading the file again if it has them.

    Raises:
        GeoUnreadable: it is not there, or not such a database.
    """

    def __init__(self, path: Path, reactor: Any) -> None:
        self.path = path
        self.failure = ""
        """Why the file as it is now is not in use; empty if it is."""
        self._reactor = reactor
        self._signature = self._seen = _signature(path)
        self._next_look_s = 0.0
        self._reading = False
        self._use(read(path))

    def _use(self, reader: maxminddb.Reader) -> None:
        self.kind = reader.metadata().database_type
        self.place: Callable[[str], Place] = lru_cache(maxsize=MEMO)(partial(look_up, reader))
        """The place of an address in canonical text; of anything else (`unix`) it is `NOWHERE`."""

    def tick(self) -> None:
        """Call it as often as you like: now and then it looks at the file, and reads it again once it rests after a change."""
        now_s = self._reactor.seconds()
        if now_s < self._next_look_s or self._reading:
            return
        self._next_look_s = now_s + LOOK_S
        signature = _signature(self.path)
        rests, self._seen = signature == self._seen, signature
        if rests and signature != self._signature:
            self._signature = signature
            self._reading = True
            self._in_thread(partial(read, self.path)).addCallbacks(self._took, self._kept)

    def _in_thread(self, work: Callable[[], maxminddb.Reader]) -> Deferred[maxminddb.Reader]:
        reactor = self._reactor
        if IReactorThreads.providedBy(reactor):
            return deferToThreadPool(reactor, reactor.getThreadPool(), work)
        return maybeDeferred(work)

    def _took(self, reader: maxminddb.Reader) -> None:
        self._reading = False
        self.failure = ""
        self._use(reader)
        _log.info("{database!r} was read again", database=self)

    def _kept(self, failure: Failure) -> None:
        self._reading = False
        self.failure = failure.getErrorMessage()
        _log.warn("{path}: {error}; what was read before stays in use", path=str(self.path), error=self.failure)

    def __repr__(self) -> str:
        return f"<GeoDatabase {self.path} {self.kind}{' out of date' if self.failure else ''}>"


class GeoDatabases:
    """The databases in use, each once; one that nobody uses any more is forgotten.

    Args:
        reactor: see `GeoDatabase`.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._open: WeakValueDictionary[Path, GeoDatabase] = WeakValueDictionary()

    def open(self, path: Path) -> GeoDatabase:
        """The database of this file, as it is in use or read now.

        Raises:
            GeoUnreadable: it is not in use yet, and cannot be read.
        """
        found = self._open.get(path)
        if found is None:
            found = self._open[path] = GeoDatabase(path, self._reactor)
        return found

    def __repr__(self) -> str:
        return f"<GeoDatabases {list(self._open.values())!r}>"


def _signature(path: Path) -> Signature | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def read(path: Path) -> maxminddb.Reader:
    """The content of a file, in memory.

    Raises:
        GeoUnreadable: there is none, or it is damaged.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise GeoUnreadable("is larger than 1 GiB")
        data = path.read_bytes()
    except OSError as error:
        raise GeoUnreadable(f"cannot be read: {error.strerror}") from None
    try:
        reader = maxminddb.open_database(io.BytesIO(data), maxminddb.MODE_FD)
        _probe(reader)
    except Exception as error:
        # The reader says `InvalidDatabaseError` to the damage it knows; other damage ends in whatever Python has for it.
        raise GeoUnreadable(f"is not a database in the MaxMind format, or is damaged: {_words(error)}") from None
    return reader


def _words(error: Exception) -> str:
    """The library names a file of ours that the operator never saw."""
    text = str(error) or type(error).__name__
    return "there is no metadata at its end" if "valid MaxMind DB file" in text else text


def _probe(reader: maxminddb.Reader) -> None:
    """Look up addresses all over the tree: the metadata alone may be whole in a damaged file."""
    for number in range(_PROBED):
        reader.get(ipaddress.IPv4Address(number << 24 | 0x080808))
    if reader.metadata().ip_version == 6:
        for number in range(0x2000, 0x4000, 0x40):
            reader.get(ipaddress.IPv6Address(number << 112))


def look_up(reader: maxminddb.Reader, address: str) -> Place:
    """The place of an address; never raises."""
    try:
        record = reader.get(address)
    except Exception:
        # No address, one of a family that the database has not, or a damaged part of the file: see `read`.
        return NOWHERE
    return place_of(record) if isinstance(record, Mapping) else NOWHERE


def place_of(record: Record) -> Place:
    """Reads a record: MaxMind's own shape (`country.iso_code`, `location.latitude`), or a flat one (`country_code`, `latitude`)."""
    country = ""
    for name in ("country", "registered_country", "country_code"):
        said = record.get(name)
        code = said.get("iso_code") if isinstance(said, Mapping) else said
        if isinstance(code, str) and len(code) == 2:
            country = code.upper()
            break
    location = record.get("location")
    where: Record = location if isinstance(location, Mapping) else record
    latitude, longitude = _degrees(where.get("latitude"), 90), _degrees(where.get("longitude"), 180)
    if latitude is None or longitude is None:
        return Place(country)
    return Place(country, latitude, longitude)


def _degrees(value: object, most: int) -> float | None:
    known = isinstance(value, int | float) and -most <= value <= most
    return float(value) if known else None  # type: ignore[arg-type]
