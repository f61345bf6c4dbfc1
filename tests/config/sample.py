"""A small configuration language in the image of design/config.md, for the tests of the configuration core."""

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, model_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.config.problems import Problems
from edgegw.config.source import Document
from edgegw.config.units import Cidr, Duration, OptionalDuration, Percent, Rate, Size, StatusRanges


class Tls(Settings):
    """TLS on a listener."""

    cert: str
    """The certificate chain, a PEM file."""
    key: str
    """Its private key, a PEM file."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken."""


class Listen(Settings):
    """One listening socket."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The TCP port."""
    unix: str | None = None
    """The path of a UNIX socket."""
    redirect: Literal["https"] | None = None
    """Answer everything with a redirect."""
    tls: Tls | None = None
    """Serve TLS."""
    trusted_proxies: tuple[Cidr, ...] = ()
    """Whose forwarding headers are believed."""

    @model_validator(mode="after")
    def _one_address(self) -> "Listen":
        if (self.port is None) == (self.unix is None):
            raise ValueError("needs exactly one of port and unix")
        return self


def _endpoint(url: str) -> dict[str, Any]:
    if "://" not in url:
        raise ValueError(f'must be a URL such as "http://10.0.0.1:9000", not "{url}"')
    return {"url": url}


class Endpoint(Settings):
    """One address of an upstream."""

    SHORT = ShortForm(_endpoint, "a URL")

    url: str = Field(pattern="^[a-z0-9]+://")
    """Where it listens."""
    weight: int = Field(1, ge=1, le=1000, examples=[3])
    """Its share of the requests, relative to the others."""


class Pool(Settings):
    """Connections that are kept."""

    max: int = Field(256, ge=1)
    """How many connections an endpoint may get."""
    idle_timeout: Duration = 60.0
    """How long an idle connection is kept."""
    queue_timeout: OptionalDuration = None
    """How long a request waits for a connection."""


class Health(Settings):
    """Asking endpoints whether they are well."""

    path: str
    """The path asked for."""
    every: Duration = 5.0
    """The time between two questions."""
    expect: StatusRanges = Field((), examples=["200-299"])
    """The status codes that mean well."""


class Upstream(Settings):
    """A named set of endpoints."""

    endpoints: tuple[Endpoint, ...] = Field(min_length=1)
    """Where it can be reached."""
    health: Health | None = None
    """Active health checks; none without this key."""
    pool: Pool = Pool()
    """Kept connections."""
    panic: Percent = 0.5
    """Below this share of healthy endpoints all are used."""
    verify: bool = True
    """Whether its certificate is checked."""
    from_: str | None = Field(None, alias="from", description="Where the endpoints come from.")


class Timeout(Settings):
    """How long an exchange may take."""

    SHORT = ShortForm(lambda value: {"head": value}, "a duration such as 15s", (str, int, float))

    head: Duration = 15.0
    """Until the response's head is there."""
    total: OptionalDuration = None
    """Until the end."""


def _match(text: str) -> dict[str, Any]:
    method, _, rest = text.rpartition(" ")
    host, slash, path = rest.partition("/")
    return {"host": host or None, "path": slash + path, "methods": tuple(method.split("|")) if method else ()}


class Match(Settings):
    """What a request must look like."""

    SHORT = ShortForm(_match, "text such as GET api.example.com/users/**")

    host: str | None = None
    """The host; any when left out."""
    path: str = Field(pattern="^/")
    """The path, from its first slash."""
    methods: tuple[str, ...] = ()
    """The methods; any when left out."""


class Weighted(Settings):
    """An upstream and its share."""

    upstream: str
    """Its name."""
    weight: int = Field(ge=0)
    """Its share."""


class Route(Settings):
    """A match and what happens on it."""

    name: str | None = None
    """What it is called in logs and metrics."""
    match: Match
    """Which requests it takes."""
    to: str | tuple[Weighted, ...] | None = Field(None, examples=["users", [{"upstream": "a", "weight": 95}]])
    """The upstream, or several with their shares."""
    timeout: Timeout = Timeout()
    """Deadlines. The short form is the head's."""
    limit: Rate | None = Field(None, description="How often it may be used. Then requests are refused.")
    body_limit: Size | Literal["none"] = 10 * 1024 * 1024
    """The largest request body."""
    headers: dict[str, str] = {}
    """Headers that are set on the request."""
    handler: Literal["proxy", "files"] = "proxy"
    """What answers."""


class Admin(Settings):
    """The operator's door."""

    listen: str = "127.0.0.1:9901"
    """Its address."""
    token: SecretStr | None = None
    """What an operator must show."""


class Log(Settings):
    """Logging."""

    level: Literal["debug", "info", "warn"] = "info"
    """From which level on."""


class Observe(Settings):
    """What can be seen."""

    log: Log = Log()
    """The application log."""


class Config(Settings):
    """A gateway."""

    edgegw: Literal[1] = 1
    """The version of the configuration language."""
    workers: int | Literal["auto"] = 1
    """How many processes serve."""
    listen: tuple[Listen, ...] = ()
    """Listening sockets."""
    upstreams: dict[str, Upstream] = {}
    """The servers behind the gateway, by name."""
    routes: tuple[Route, ...] = ()
    """What happens to which request."""
    observe: Observe = Observe()
    """Logs and metrics."""
    admin: Admin | None = None
    """The Admin API."""


def check_names(config: Config, problems: Problems, document: Document) -> None:
    """Every route goes to an upstream that there is."""
    under = problems.under("routes")
    names = document.names(("upstreams",))
    for index, route in enumerate(config.routes):
        if isinstance(route.to, str) and not (route.to in names or document.lacks(("upstreams", route.to))):
            under.add((index, "to"), f'upstream "{route.to}" is not defined; defined: {", ".join(names)}')
        if route.name == "odd":
            under.warn((index,), "an odd name")
