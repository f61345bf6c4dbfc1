"""The root settings model, put together from every floor's own, and how `defaults` and a route's own keys become one.

`defaults` hold for what a route or an upstream leaves out, key by key and at every level: `timeout: {total: 5m}` of a route leaves
`defaults.timeout.head` in place, and of the fields in `headers.response.set` those of the route are put over those of the defaults.
Lists (`middleware`, `headers.request.remove`) and single values are not mixed: the route's own replaces the default. A value that
switches a map off (`security_headers: false`) is a single value: a route that gives a map then starts from the built-in one.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.config.problems import quoted
from edgegw.config.units import Duration, Size
from edgegw.discovery.connections import ConnectionSettings
from edgegw.discovery.settings import DiscoverySettings
from edgegw.exchange.predicates import WhenSettings
from edgegw.export.settings import ObserveSettings
from edgegw.middleware.grpc_web import GrpcSettings
from edgegw.middleware.header_rules import HeaderRulesSettings
from edgegw.middleware.pipeline import MiddlewareUse
from edgegw.middleware.security_headers import SecurityHeadersSettings
from edgegw.net.settings import ListenSettings
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.routing.match import MatchSettings
from edgegw.routing.rewrite import RewriteSettings
from edgegw.runtime.overload import Importance, OverloadSettings
from edgegw.targets.fallback import FallbackSettings
from edgegw.targets.files import FilesSettings
from edgegw.targets.mirror import MOST_MIRRORS, MirrorSettings
from edgegw.targets.redirect import RedirectSettings
from edgegw.targets.respond import RespondSettings
from edgegw.targets.split import DestinationSettings, SplitSettings
from edgegw.upstream.address import EndpointSettings
from edgegw.upstream.retry import RetrySettings
from edgegw.upstream.settings import UpstreamDefaults, UpstreamSettings

TARGETS = ("to", "respond", "redirect", "files", "resource")
"""Route keys of which each route has exactly one."""

_is_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}").fullmatch


def _check_name(text: str) -> str:
    if not _is_name(text):
        raise ValueError(f"{quoted(text)} is not a name; a name has letters, digits, dots, dashes and underscores")
    return text


Name = Annotated[str, AfterValidator(_check_name)]
"""What logs, metrics and the command call a thing."""

PositiveDuration = Annotated[Duration, Field(gt=0)]


class ShutdownSettings(Settings):
    """How the gateway stops."""

    lame_duck: Duration = Field(
        default=5.0, description="Not ready, but still accepting, so that load balancers notice."
    )
    grace: Duration = Field(default=30.0, description="For what is in flight; then it is cut.")


class RouteTimeouts(Settings):
    """Deadlines of a route; `timeout: 15s` is short for `timeout: {head: 15s}`."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda head: {"head": head}, "a duration")

    head: PositiveDuration | None = Field(
        default=None,
        description="Until the response's head. A route's own wins over `timeouts` of the upstream, these over `defaults.timeout`.",
        examples=["15s"],
    )
    idle: PositiveDuration | None = Field(
        default=None,
        description="Between bytes of the response; a body that keeps moving is never cut.",
        examples=["60s"],
    )
    total: PositiveDuration | Literal["none"] | None = Field(
        default=None, description="For the whole exchange; `none` is the default.", examples=["none", "5m"]
    )


class RouteDefaults(Settings):
    """What a route may say about itself, and what `defaults` may say for all of them."""

    timeout: RouteTimeouts = Field(default=RouteTimeouts(), description="Deadlines.")
    body_limit: Size = Field(
        default=10 * 1024 * 1024,
        description="Bytes of a request's body; more is a 413. Not for gRPC calls, which are streams of messages: see `grpc`.",
    )
    grpc: GrpcSettings = Field(default=GrpcSettings(), description="gRPC and gRPC-Web calls of a route that has `to`.")
    headers: HeaderRulesSettings = Field(default=HeaderRulesSettings(), description="Header fields changed.")
    security_headers: SecurityHeadersSettings | Literal[False] = Field(
        default=SecurityHeadersSettings(), description="Fields for browsers, where the answer has none; false is off."
    )
    websocket: WebSocketSettings = Field(
        default=WebSocketSettings(), description="What becomes of WebSocket handshakes, on routes with `to`."
    )
    importance: Importance = Field(
        default="normal",
        description="What an overloaded process refuses first: `low`, then `normal`, `high` only at the last; `critical` never.",
    )
    retry: RetrySettings = Field(
        default=RetrySettings(),
        description="Attempts after the first. A route's own keys win over `retry` of the upstream, these over `defaults.retry`.",
    )
    middleware: tuple[MiddlewareUse, ...] = Field(
        default=(), description="Middleware of the route's own, outermost first."
    )


class RouteSettings(RouteDefaults):
    """A match, and what happens on it."""

    name: Name | None = Field(default=None, description="For logs and metrics; the match if left out.")
    match: MatchSettings = Field(description="Which requests.", examples=["GET api.example.com/users/{id}/**"])
    when: WhenSettings | None = Field(default=None, description="Further conditions.")
    priority: int = Field(default=0, description="Before specificity; larger goes first.")
    rewrite: RewriteSettings | None = Field(default=None, description="Another path or host for the target.")
    to: DestinationSettings | Annotated[tuple[DestinationSettings, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="The upstream to proxy to, or several that share the exchanges.",
        examples=["users", [{"upstream": "users", "weight": 95}, {"upstream": "users-next", "weight": 5}]],
    )
    split: SplitSettings = Field(
        default=SplitSettings(), description="Whether clients stay with the upstream of `to` that they were drawn to."
    )
    mirror: (
        MirrorSettings | Annotated[tuple[MirrorSettings, ...], Field(min_length=1, max_length=MOST_MIRRORS)] | None
    ) = Field(
        default=None,
        description="Copies of requests for other upstreams; nobody gets their answers.",
        examples=["shadow"],
    )
    fallback: FallbackSettings | None = Field(
        default=None, description="What answers when `to` cannot.", examples=["static", {"respond": {"status": 503}}]
    )
    respond: RespondSettings | None = Field(default=None, description="A fixed answer.")
    redirect: RedirectSettings | None = Field(default=None, description="An answer that leads elsewhere.")
    files: FilesSettings | None = Field(default=None, description="Files of a folder.")
    resource: str | None = Field(
        default=None,
        description="Dotted name of a twisted.web IResource, or of what makes one.",
        examples=["shop.web.root"],
    )

    @property
    def destinations(self) -> tuple[DestinationSettings, ...]:
        """What `to` says, as a list."""
        return () if self.to is None else self.to if isinstance(self.to, tuple) else (self.to,)

    @property
    def mirrors(self) -> tuple[MirrorSettings, ...]:
        """What `mirror` says, as a list."""
        return () if self.mirror is None else self.mirror if isinstance(self.mirror, tuple) else (self.mirror,)

    @model_validator(mode="after")
    def _one_target(self) -> Any:
        given = [name for name in TARGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a route has one of {', '.join(TARGETS)}; here: {' and '.join(given) or 'none of them'}")
        return self


class DefaultsSettings(RouteDefaults):
    """What holds for every route and upstream that does not say otherwise."""

    upstream: UpstreamDefaults = Field(default=UpstreamDefaults(), description="For every upstream.")


class GatewayUpstreamSettings(UpstreamSettings):
    """A named set of endpoints: written down, discovered, or both."""

    endpoints: tuple[EndpointSettings, ...] = Field(
        default=(), description="The addresses behind this name; there must be one, or `discovery`."
    )
    discovery: DiscoverySettings | None = Field(default=None, description="What finds endpoints.")

    @model_validator(mode="after")
    def _has_some(self) -> Any:
        if not self.endpoints and self.discovery is None:
            raise ValueError("an upstream has `endpoints`, `discovery` or both; here: none of them")
        return self


class GatewaySettings(Settings):
    """The configuration of edgegw."""

    edgegw: Literal[1] = Field(description="Version of this language.")
    state: str = Field(
        default="./edgegw-state", description="Folder for history and the control socket; made with mode 0700."
    )
    shutdown: ShutdownSettings = Field(default=ShutdownSettings(), description="How the gateway stops.")
    listen: tuple[ListenSettings, ...] = Field(min_length=1, description="Where requests come in.")
    upstreams: dict[Name, GatewayUpstreamSettings] = Field(
        default_factory=dict, description="The servers behind, by name."
    )
    discovery: dict[Name, ConnectionSettings] = Field(
        default_factory=dict, description="By name, how to reach what endpoints are discovered by."
    )
    routes: tuple[RouteSettings, ...] = Field(default=(), description="What happens to which requests.")
    defaults: DefaultsSettings = Field(
        default=DefaultsSettings(),
        description="For all routes and upstreams, key by key, wherever they leave something out.",
    )
    observe: ObserveSettings = Field(default=ObserveSettings(), description="Logs, metrics and probes.")
    overload: OverloadSettings = Field(
        default=OverloadSettings(), description="What the process gives up under pressure."
    )


def merged(over: Settings, under: Settings) -> Any:
    """`over`, with every key that it leaves out taken from `under`, maps merged key by key (the module's text has the rules)."""
    changes: dict[str, Any] = {}
    for name in type(under).model_fields:
        if name not in type(over).model_fields or name not in under.model_fields_set:
            continue
        ours, theirs = getattr(over, name), getattr(under, name)
        if name not in over.model_fields_set:
            changes[name] = theirs
        elif isinstance(ours, Settings) and isinstance(theirs, Settings):
            changes[name] = merged(ours, theirs)
        elif isinstance(ours, dict) and isinstance(theirs, dict):
            # Maps of free names hold header fields, whose names have no case.
            own = {key.lower() for key in ours}
            changes[name] = {key: value for key, value in theirs.items() if key.lower() not in own} | ours
    return over.model_copy(update=changes) if changes else over
