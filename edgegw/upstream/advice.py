"""What a discovery source may say of a whole upstream, as annotations of a Service do, and what becomes of it.

Less than the configuration may say: no code, no other host, port or header field than those that endpoints are spoken to with, and
numbers within bounds, for whoever may annotate a Service need not be an operator. What the configuration says itself, `defaults`
included, goes first, key by key; the built-in defaults give way.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from edgegw.config.model import Settings
from edgegw.config.problems import quoted
from edgegw.config.units import Duration, StatusRanges
from edgegw.config.wording import predicate
from edgegw.upstream.balance.keys import KeyText
from edgegw.upstream.balance.settings import Algorithm, BalanceSettings, Factor
from edgegw.upstream.health.settings import ExpectSettings, GrpcProbeSettings, HealthSettings, TcpProbeSettings
from edgegw.upstream.settings import UpstreamSettings

LONGEST = 256
"""Characters of one value."""

_TOLD = 32
"""Things that are wrong, in words: annotations may be thousands, and to find what each may be a slip of takes time."""
_TOPICS = ("balance", "health")
_OF_HASHING = ("key", "table", "factor")
_OF_HTTP = {"path", "method", "headers", "host", "expect"}
_KIND_OF = {"path": "http", "expect": "http", "service": "grpc"}
_SAID = "the configuration says it"


class Advice(Settings):
    """What a source says; each key as in `balance` and `health` of an upstream, within closer bounds."""

    balance_by: Algorithm | None = None
    """The algorithm; called `balance`."""
    balance_key: KeyText | None = None
    """Of consistent_hash."""
    balance_table: Literal["maglev", "ring"] | None = None
    """Of consistent_hash."""
    balance_factor: Factor | None = None
    """Of consistent_hash."""
    balance_slow_start: Duration | None = Field(default=None, le=900)
    """Time in which an endpoint that comes back grows to its share."""
    health_protocol: Literal["http", "tcp", "grpc"] | None = None
    """How endpoints are probed; http if there is nothing but other keys of probes."""
    health_path: str | None = Field(default=None, pattern=r"^/[\x21\x22\x24-\x7e]*$")
    """Of http probes."""
    health_expect: StatusRanges | None = None
    """Status that http probes must have."""
    health_service: str | None = Field(default=None, pattern=r"^[\x21-\x7e]*$")
    """Of grpc probes: the service that must be SERVING."""
    health_every: Duration | None = Field(default=None, ge=1, le=3600)
    """From probe to probe."""
    health_timeout: Duration | None = Field(default=None, ge=0.1, le=60)
    """For all of a probe."""
    health_fall: int | None = Field(default=None, ge=1, le=100)
    """Probes in a row that must fail to take an endpoint out."""
    health_rise: int | None = Field(default=None, ge=1, le=100)
    """Probes in a row that must pass to bring it back."""

    def plain(self) -> dict[str, Any]:
        """What it says, for JSON, by names as in `NAMES`."""
        return {_name(field): value for field, value in self.model_dump(mode="json", exclude_none=True).items()}


def _name(field: str) -> str:
    return "balance" if field == "balance_by" else field.replace("_", "-")


NAMES: Mapping[str, str] = {_name(field): field for field in Advice.model_fields}
"""The fields of `Advice` by the names that sources have for them."""


def is_advice(name: str) -> bool:
    """Whether something of this name is meant for the whole upstream, be it known or not."""
    return name.partition("-")[0] in _TOPICS


def read_advice(said: Mapping[str, object]) -> tuple[Advice | None, tuple[str, ...]]:
    """What a source says as far as it may be, and what is wrong with the rest, in words; None: there is nothing.

    Args:
        said: by names as in `NAMES`; what is no advice by its name is passed over.
    """
    fit: dict[str, Any] = {}
    wrong: list[str] = []
    for name, value in said.items():
        field = NAMES.get(name)
        if field is None:
            if is_advice(name) and len(wrong) < _TOLD:
                near = get_close_matches(name, NAMES, 1)
                wrong.append(f"{quoted(name[:60])} is not known{f'; did you mean {quoted(near[0])}?' if near else ''}")
        elif isinstance(value, str) and len(value) > LONGEST:
            wrong.append(f"{name} has more than {LONGEST} characters")
        else:
            try:
                Advice.model_validate({field: value})
            except ValidationError as error:
                wrong.append(f"{name} {predicate(error.errors(include_url=False)[0])}")
            else:
                fit[field] = value
    return (Advice.model_validate(fit) if fit else None), tuple(wrong)


class Heeded(NamedTuple):
    """What holds for an upstream. acts: names of what an advice brought. ignored: by name, why something of it does not act."""

    balance: BalanceSettings
    health: HealthSettings | None
    acts: tuple[str, ...] = ()
    ignored: Mapping[str, str] = {}


def heeded(settings: UpstreamSettings, advice: Advice | None) -> Heeded:
    """What holds when a source advises that. settings: as validated, `defaults` merged into it."""
    if advice is None:
        return Heeded(settings.balance, settings.health)
    ignored: dict[str, str] = {}
    balance = _balance(settings.balance, _told("balance", advice), ignored)
    told = _told("health", advice)
    if settings.health is None and "health" in settings.model_fields_set:
        # Switched off in so many words.
        health = None
        ignored.update((f"health-{key}", _SAID) for key in told)
    else:
        health = _health(settings.health, told, ignored)
    return Heeded(balance, health, tuple(name for name in advice.plain() if name not in ignored), ignored)


def spoken(settings: UpstreamSettings) -> tuple[object, ...]:
    """What is equal as long as the configuration leaves the same things to advice, whatever the values are."""
    health = settings.health
    grpc = health.grpc.model_fields_set if health is not None and health.grpc is not None else None
    of_health = health.model_fields_set if health is not None else None
    return settings.balance.model_fields_set, "health" in settings.model_fields_set, of_health, grpc


def _told(topic: str, advice: Advice) -> dict[str, Any]:
    """What it says of one topic, by the keys of the settings."""
    begin = f"{topic}_"
    return {
        field.removeprefix(begin): value for field, value in advice if value is not None and field.startswith(begin)
    }


def _balance(mine: BalanceSettings, told: dict[str, Any], ignored: dict[str, str]) -> BalanceSettings:
    said = mine.model_fields_set
    if mine.custom is not None:
        said = {*said, "by", *_OF_HASHING}
    by = mine.by if "by" in said else told.get("by", mine.by)
    changes = {}
    for key, value in told.items():
        name = _name(f"balance_{key}")
        if key in said:
            ignored[name] = _SAID
        elif key in _OF_HASHING and by != "consistent_hash":
            ignored[name] = f"it goes with consistent_hash, not with {by}"
        else:
            changes[key] = value
    return mine.model_copy(update=changes) if changes else mine


def _health(mine: HealthSettings | None, told: dict[str, Any], ignored: dict[str, str]) -> HealthSettings | None:
    base = mine or HealthSettings()
    said, own, advised = base.model_fields_set, _kind(base), told.get("protocol")
    kind = own or advised or "http"
    changes: dict[str, Any] = {}
    if own is None and kind != "http":
        changes[kind] = TcpProbeSettings() if kind == "tcp" else GrpcProbeSettings()
    for key, value in told.items():
        wanted = _KIND_OF.get(key, kind)
        if wanted != kind:
            ignored[f"health-{key}"] = f"it goes with {wanted} probes, not with {kind}"
        elif key in said or (key == "protocol" and own is not None) or (key == "service" and _serves(base)):
            ignored[f"health-{key}"] = _SAID
        elif key == "expect":
            changes[key] = ExpectSettings(status=value)
        elif key == "service":
            changes["grpc"] = GrpcProbeSettings(service=value)
        elif key != "protocol":
            changes[key] = value
    acts = any(f"health-{key}" not in ignored for key in told)
    return base.model_copy(update=changes) if acts else mine


def _kind(settings: HealthSettings) -> str | None:
    """The kind of probe that the configuration asks for, if it says so."""
    for kind in ("tcp", "grpc", "custom"):
        if getattr(settings, kind) is not None:
            return kind
    return "http" if settings.model_fields_set & _OF_HTTP else None


def _serves(settings: HealthSettings) -> bool:
    return settings.grpc is not None and "service" in settings.grpc.model_fields_set


class Counsel:
    """What sources advise of one upstream, by their names; that of the first holds.

    Attributes:
        advice: by source. source: whose holds; empty: nobody's. now: what comes of it.
    """

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        self.source = ""
        self.now = heeded(settings, None)
        self.advice: dict[str, Advice] = {}

    def hear(self, source: str, advice: Advice | None) -> bool:
        """This source advises that from now on, or nothing. Returns: whether something else holds than before."""
        if self.advice.get(source) == advice:
            return False
        if advice is not None:
            self.advice[source] = advice
        else:
            del self.advice[source]
        return self._weigh()

    def take_over(self, before: Counsel) -> None:
        """Sources need not repeat themselves."""
        self.advice = dict(before.advice)
        self._weigh()

    def _weigh(self) -> bool:
        before = self.now
        self.source, advice = next(iter(self.advice.items()), ("", None))
        self.now = heeded(self._settings, advice)
        return (before.balance, before.health) != (self.now.balance, self.now.health)

    @property
    def words(self) -> str:
        """What acts, for an event."""
        facts = self.describe() or {"acts": {}}
        return ", ".join(f"{name} {value}" for name, value in facts["acts"].items()) or "no advice acts any more"

    def describe(self) -> dict[str, Any] | None:
        """Plain data, for JSON; None: nobody advises anything."""
        if not self.source:
            return None
        said = self.advice[self.source].plain()
        acts = {name: said[name] for name in self.now.acts}
        return {"source": self.source, "acts": acts, "ignored": dict(self.now.ignored)}

    def __repr__(self) -> str:
        acts = ", ".join(self.now.acts) or "nothing"
        return f"<Counsel of {self.source}: {acts}>" if self.source else "<Counsel of nobody>"
