"""Checks from settings, and what is wrong with those."""

from __future__ import annotations

from collections.abc import Callable

from edgegw.config.problems import Problems, quoted
from edgegw.exchange.patterns import Pattern, compile_pattern
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.environment import Environment
from edgegw.upstream.foreign import FOREIGN, check_options, find_factory, told
from edgegw.upstream.health.checks import HealthChecks, uncounted, unheard
from edgegw.upstream.health.grpc_probe import GrpcProbe
from edgegw.upstream.health.http_probe import HttpProbe
from edgegw.upstream.health.interfaces import PLUG_POINT, Factory, Probe
from edgegw.upstream.health.settings import HealthSettings
from edgegw.upstream.health.tcp_probe import TcpProbe


def health_checks(
    name: str,
    settings: HealthSettings,
    environment: Environment,
    problems: Problems,
    counted: Callable[[bool], object] = uncounted,
    passed: Callable[[Endpoint, float], object] = unheard,
) -> HealthChecks | None:
    """The checks of an upstream, to be started by whoever keeps it; None after reporting what is wrong with the settings.

    Args:
        name: of the upstream. problems: a view of its `health`. counted: told of each probe whether it passed, for the metric.
        passed: told of each probe that an endpoint passed, and when it began (loop clock): `Outliers.readmit`.
    """
    probe = make_probe(settings, environment, problems)
    return HealthChecks(name, settings, environment, probe, counted, passed) if probe is not None else None


def check_settings(settings: HealthSettings, problems: Problems) -> None:
    """Reports everything that can be found without building: contradictions with the defaults, regexes, names, options."""
    wrong = settings.contradiction()
    if wrong is not None:
        hint = "what stands under defaults.upstream.health counts, too; say the other kind there or in each upstream"
        problems.add((), wrong, hint)
    _pattern(settings, problems)
    if settings.custom is not None:
        factory = find_factory(PLUG_POINT, settings.custom, problems)
        if factory is not None:
            check_options(PLUG_POINT, factory, settings.custom, settings.with_, problems)


def make_probe(settings: HealthSettings, environment: Environment, problems: Problems) -> Probe | None:
    """What the settings ask for; None after reporting why it cannot be."""
    before = len(problems.errors)
    check_settings(settings, problems)
    if len(problems.errors) > before:
        return None
    if settings.custom is not None:
        return _custom(settings.custom, settings, environment, problems)
    if settings.tcp is not None:
        return TcpProbe(settings.tcp, environment.wheel)
    if settings.grpc is not None:
        return GrpcProbe(settings.grpc)
    return HttpProbe(settings, _pattern(settings, problems))


def _pattern(settings: HealthSettings, problems: Problems) -> Pattern | None:
    body = settings.expect.body
    if body is None or body.regex is None:
        return None
    return compile_pattern(body.regex, problems.under("expect", "body"), ("regex",))


def _custom(name: str, settings: HealthSettings, environment: Environment, problems: Problems) -> Probe | None:
    factory: Factory | None = find_factory(PLUG_POINT, name, problems)
    if factory is None:
        return None
    try:
        probe = factory(environment, **settings.with_)
    except FOREIGN as error:
        problems.add(("custom",), f"the health probe {quoted(name)} cannot be built: {told(error)}")
        return None
    if not callable(getattr(probe, "probe", None)):
        kind = type(probe).__name__
        problems.add(("custom",), f"the health probe {quoted(name)} makes a {kind}, which has no method probe")
        return None
    return probe
