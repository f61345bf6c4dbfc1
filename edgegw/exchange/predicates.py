"""What a route or a middleware may ask of a request: the `when:` of the configuration.

Every single test must hold. A test on a header, query parameter or cookie holds when any one of its values fits; names of headers
are compared without case, everything else with it. Regexes match whole values.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar, Literal
from urllib.parse import unquote_to_bytes

from pydantic import model_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.config.problems import Problems, quoted
from edgegw.config.units import Cidr, Network
from edgegw.exchange.model import Exchange
from edgegw.exchange.patterns import compile_pattern
from edgegw.wire.grpc import is_grpc
from edgegw.wire.grpc_web import asks_for_web, web_kind

Test = Callable[[Exchange], bool]
Fits = Callable[[bytes], bool]
Values = Callable[[Exchange], Iterable[bytes]]
Key = tuple[str, ...]

_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_name = re.compile(r"(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?\.?)+").fullmatch


class ValueTestSettings(Settings):
    """What a value must look like; the short form is the exact value."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda value: {"exact": value}, "the exact value as text (in quotes)")

    exact: str | None = None
    """The whole value, byte by byte."""
    regex: str | None = None
    """An RE2 expression that must match the whole value."""
    prefix: str | None = None
    """How the value must begin; for paths, on whole segments."""
    present: bool | None = None
    """`true`: there must be a value, whatever it is; `false`: there must be none."""

    @model_validator(mode="after")
    def _one_kind(self) -> ValueTestSettings:
        if len(self.kinds()) != 1:
            raise ValueError("must have exactly one of exact, regex, prefix and present")
        return self

    def kinds(self) -> list[str]:
        """The keys that were given."""
        return [name for name in ("exact", "regex", "prefix", "present") if getattr(self, name) is not None]


class WhenSettings(Settings):
    """Predicates of a route: all of them must hold."""

    header: dict[str, ValueTestSettings] = {}
    """Header fields by name."""
    query: dict[str, ValueTestSettings] = {}
    """Query parameters by name, compared after percent-decoding."""
    cookie: dict[str, ValueTestSettings] = {}
    """Cookies by name."""
    client_ip: list[Cidr] = []
    """Address ranges, one of which holds the client's address (the one found behind `trusted_proxies`)."""
    protocol: Literal["http1", "grpc", "grpc_web", "websocket"] | None = None
    """`http1`: HTTP/1.x; `grpc`: content type application/grpc; `grpc_web`: application/grpc-web, and the CORS preflights for it;
    `websocket`: asks for an upgrade to WebSocket.
    """
    sni: str | None = None
    """The server name of the TLS connection, exact or with `*` for its first label."""


class MiddlewareWhenSettings(WhenSettings):
    """Predicates of a middleware entry: all of them must hold."""

    method: list[str] = []
    """Request methods, one of which it must be."""
    path: ValueTestSettings | None = None
    """The normalised request path as it came, without `;parameters`; a text that ends with `/**` is a prefix."""


class Predicate:
    """All the tests of one `when:`.

    key: equal for predicates that hold for the same requests, as far as that can be seen.
    """

    __slots__ = ("_tests", "key", "texts")

    def __init__(self, tests: Sequence[tuple[Key, Test]]) -> None:
        ordered = sorted(dict(tests).items())
        self._tests = tuple(test for _, test in ordered)
        self.key: tuple[Key, ...] = tuple(key for key, _ in ordered)
        self.texts = tuple(" ".join(part for part in key if part) for key in self.key)

    @property
    def count(self) -> int:
        """How many single tests there are: more of them take precedence."""
        return len(self._tests)

    def __call__(self, exchange: Exchange) -> bool:
        for test in self._tests:  # noqa: SIM110 # a generator would double the time
            if not test(exchange):
                return False
        return True

    def failing(self, exchange: Exchange) -> str | None:
        """The first test that does not hold, in words."""
        for test, text in zip(self._tests, self.texts, strict=True):
            if not test(exchange):
                return text
        return None

    def __repr__(self) -> str:
        return f"<Predicate {'; '.join(self.texts)}>"


def compile_when(settings: WhenSettings | None, problems: Problems) -> Predicate | None:
    """Compile a `when:`; None when it asks nothing.

    Args:
        problems: gets what is wrong, at locs below the `when` key (hand in `problems.under(..., "when")`).
    """
    if settings is None:
        return None
    tests: list[tuple[Key, Test]] = []
    for source, named in (("header", settings.header), ("query", settings.query), ("cookie", settings.cookie)):
        tests.extend(_named(source, named, problems.under(source)))
    if settings.client_ip:
        tests.append((("client_ip", *sorted(map(str, settings.client_ip))), _in_networks(settings.client_ip)))
    if settings.protocol:
        tests.append((("protocol", settings.protocol), _PROTOCOLS[settings.protocol]))
    if settings.sni is not None:
        if not _is_name(settings.sni):
            problems.add(
                ("sni",), f"{quoted(settings.sni)} is not a server name", hint="api.example.com or *.example.com"
            )
        tests.append((("sni", settings.sni.lower().rstrip(".")), _sni(settings.sni.lower().rstrip("."))))
    if isinstance(settings, MiddlewareWhenSettings):
        tests.extend(_of_middleware(settings, problems))
    return Predicate(tests) if tests else None


def _of_middleware(settings: MiddlewareWhenSettings, problems: Problems) -> Iterator[tuple[Key, Test]]:
    if settings.method:
        methods = frozenset(settings.method)
        for index, method in enumerate(settings.method):
            if not _is_token(method) or method != method.upper():
                problems.add(
                    ("method", index), f"{quoted(method)} is not a method", hint="methods are upper-case: GET, POST"
                )
        yield ("method", *sorted(methods)), lambda exchange: exchange.head.method in methods
    if settings.path is not None:
        made = _path_fits(settings.path, problems.under("path"))
        if made is not None:
            key, fits = made
            yield ("path", *key), lambda exchange: fits(_bare_path(exchange.head.path))


def _named(source: str, tests: Mapping[str, ValueTestSettings], problems: Problems) -> Iterator[tuple[Key, Test]]:
    for name, settings in tests.items():
        if source != "query" and not _is_token(name):
            problems.add((name,), f"{quoted(name)} cannot be the name of a {source}")
            continue
        lower = name.lower() if source == "header" else name
        values = SOURCES[source](lower.encode("utf-8"))
        if settings.present is not None:
            yield (source, lower, "present", str(settings.present)), _presence(values, settings.present)
            continue
        made = _fits(settings, problems.under(name))
        if made is not None:
            key, fits = made
            yield (source, lower, *key), _any_fits(values, fits)


def _fits(settings: ValueTestSettings, problems: Problems) -> tuple[Key, Fits] | None:
    if settings.exact is not None:
        return ("exact", settings.exact), settings.exact.encode("utf-8").__eq__
    if settings.prefix is not None:
        prefix = settings.prefix.encode("utf-8")
        return ("prefix", settings.prefix), lambda value: value.startswith(prefix)
    source = settings.regex or ""
    pattern = compile_pattern(source, problems, ("regex",))
    return (("regex", source), pattern.full) if pattern else None


def _path_fits(settings: ValueTestSettings, problems: Problems) -> tuple[Key, Fits] | None:
    text = settings.exact if settings.exact is not None else settings.prefix
    if settings.present is not None:
        problems.add(("present",), "every request has a path", hint="a path, or one of prefix and regex")
        return None
    if text is None:
        return _fits(settings, problems)
    prefix = text.removesuffix("/**") if settings.exact is not None else text.removesuffix("/")
    if not text.startswith("/") or "*" in prefix or "{" in prefix:
        problems.add((), f"{quoted(text)} is not a path", hint="/exact/path, /prefix/** or {regex: ...}")
        return None
    if settings.exact is not None and prefix == text:
        return ("exact", text), text.encode("utf-8").__eq__
    whole, inside = prefix.encode("utf-8"), prefix.encode("utf-8") + b"/"
    return ("prefix", prefix), lambda path: path == whole or path.startswith(inside)


def _bare_path(path: str) -> bytes:
    """The path as routing compares it: without what follows `;` in each segment."""
    if ";" in path:
        path = "/".join(segment.partition(";")[0] for segment in path.split("/"))
    return path.encode("ascii", "replace")


def _any_fits(values: Values, fits: Fits) -> Test:
    def test(exchange: Exchange) -> bool:
        for value in values(exchange):  # noqa: SIM110 # a generator would double the time
            if fits(value):
                return True
        return False

    return test


def _presence(values: Values, wanted: bool) -> Test:
    return lambda exchange: any(True for _ in values(exchange)) is wanted


def _header_values(lower: bytes) -> Values:
    return lambda exchange: exchange.request.headers.get_all(lower)


def _query_values(name: bytes) -> Values:
    def values(exchange: Exchange) -> Iterator[bytes]:
        for piece in (exchange.head.query or "").split("&"):
            key, _, value = piece.partition("=")
            if piece and unquote_to_bytes(key.replace("+", " ")) == name:
                yield unquote_to_bytes(value.replace("+", " "))

    return values


def _cookie_values(name: bytes) -> Values:
    def values(exchange: Exchange) -> Iterator[bytes]:
        for line in exchange.request.headers.get_all(b"cookie"):
            for pair in line.split(b";"):
                key, equals, value = pair.strip(b" \t").partition(b"=")
                if equals and key == name:
                    yield value.strip(b'"')

    return values


SOURCES: dict[str, Callable[[bytes], Values]] = {
    "header": _header_values,
    "query": _query_values,
    "cookie": _cookie_values,
}
"""By kind: takes a name (of a header in lower case), gives what finds its values in an exchange."""


def _is_grpc_web(exchange: Exchange) -> bool:
    headers = exchange.head.headers
    if exchange.head.method == "OPTIONS":
        return asks_for_web(headers)
    return web_kind(headers.get(b"content-type")) is not None


_PROTOCOLS: dict[str, Test] = {
    "http1": lambda exchange: exchange.head.version.startswith("1"),
    "grpc": lambda exchange: is_grpc(exchange.request.headers.get(b"content-type")),
    "grpc_web": _is_grpc_web,
    "websocket": lambda exchange: b"websocket" in exchange.head.upgrade,
}


def _in_networks(networks: Iterable[Network]) -> Test:
    """Compares integers: a third of the time of `address in network`."""
    ranges = [(net.version, int(net.network_address), int(net.broadcast_address)) for net in networks]

    def test(exchange: Exchange) -> bool:
        found = _address(exchange.client)
        if found is None:
            return False
        version, number = found
        return any(version == kind and low <= number <= high for kind, low, high in ranges)

    return test


@lru_cache(maxsize=1024)
def _address(text: str) -> tuple[int, int] | None:
    """Version and number of an address; IPv4 inside IPv6 counts as IPv4. None for a UNIX socket's peer."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (4, int(mapped)) if mapped is not None else (address.version, int(address))


def _sni(wanted: str) -> Test:
    suffix = wanted[1:] if wanted.startswith("*.") else None

    def test(exchange: Exchange) -> bool:
        name = getattr(exchange.connection.tls, "server_name", None)
        if not name:
            return False
        name = name.lower().rstrip(".")
        if suffix is None:
            return bool(name == wanted)
        head, dot, tail = name.partition(".")
        return bool(head) and dot + tail == suffix

    return test
