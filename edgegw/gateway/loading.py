"""From a path to settings, and from settings to a snapshot: the one way that start, reload and every verb of the command go."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgegw.config.problems import ConfigError, Problem, Problems
from edgegw.config.source import Document, load
from edgegw.config.validation import Examined, examine
from edgegw.export.writer import STANDARD
from edgegw.gateway.assembly import Assembly, Resources
from edgegw.gateway.parts import FOREIGN
from edgegw.gateway.places import OFF, Obstacle, can_bind, observe_place, place_of, placed
from edgegw.gateway.references import check_references, without_guess
from edgegw.gateway.settings import GatewaySettings
from edgegw.gateway.snapshot import Snapshot

_STANDINS = {"edgegw": 1, "listen": [{"unix": "edgegw.sock"}]}
"""For the keys that must be there: a configuration in which they are wrong may have other things that are wrong."""


@dataclass(frozen=True, eq=False, repr=False)
class Loaded(Examined[GatewaySettings]):
    """A configuration that was read. base_dir: the folder that relative paths in it start from."""

    base_dir: Path


def read(
    path: str | Path,
    *,
    environ: Mapping[str, str] | None = None,
    depends: Callable[[Iterable[Path]], object] = lambda _: None,
    defer: bool = False,
) -> Loaded:
    """Read and check a configuration's text.

    Args:
        depends: told the files that it is made of, also when it turns out to be wrong: a change of one of them may mend it.
        defer: as of `accept`.

    Raises:
        ConfigError: every problem of text, schema and references.
    """
    document = load(path, environ=environ, defer=True)
    depends(document.watched_paths)
    return accept(document, base_dir_of(path), defer=defer)


def base_dir_of(path: str | Path) -> Path:
    """The folder that relative paths start from: that of the file, or the folder itself."""
    root = Path(path).absolute()
    return root if root.is_dir() else root.parent


def accept(document: Document, base_dir: Path, *, defer: bool = False) -> Loaded:
    """Check a document that was read.

    Args:
        defer: one that is wrong is accepted too, without what is wrong, if something is left: whoever builds it (`provision`, or
            `build`) finds what else is wrong, and raises everything.

    Raises:
        ConfigError: every problem of schema and references.
    """
    try:
        found = examine(GatewaySettings, document, checks=[check_references], standins=_STANDINS)
    except ConfigError as error:
        raise ConfigError(map(without_guess, error.problems), error.sources) from None
    loaded = Loaded(found.settings, found.document, tuple(map(without_guess, found.problems)), base_dir)
    if loaded.is_wrong and not defer:
        loaded.refuse()
    return loaded


def build(assembly: Assembly, loaded: Loaded, problems: Problems, old: Snapshot | None = None) -> Snapshot:
    """Everything but sockets and log files. What can't be built is in `problems`, with what was found in `loaded` before.

    Raises:
        ConfigError: one that is wrong already can't be looked at further.
    """
    problems.extend(loaded.problems)
    try:
        return assembly.build(loaded.document, loaded.settings, loaded.base_dir, problems, old)
    except FOREIGN:
        if loaded.is_wrong:
            # Nobody wrote what was left to build. What is wrong with what was written is known, and told.
            loaded.refuse()
        raise


def read_to_serve(path: str | Path, *, environ: Mapping[str, str] | None = None) -> Loaded:
    """As `read`, for a process that would serve it.

    Raises:
        ConfigError: one whose text, schema or references are wrong; also with what could not be built of the rest.
    """
    loaded = read(path, environ=environ, defer=True)
    if loaded.is_wrong:
        raise ConfigError(rehearse(loaded), loaded.document.files)
    return loaded


def rehearse(loaded: Loaded) -> tuple[Problem, ...]:
    """Everything that is wrong or odd with a configuration, as far as that can be told without serving, each with its place."""
    problems = Problems()
    check_ports(loaded, problems)
    try:
        provision(loaded, into=problems)
    except ConfigError as error:
        return error.problems
    return problems.located(loaded.document)


def provision(
    loaded: Loaded, resources: Resources | None = None, old: Snapshot | None = None, into: Problems | None = None
) -> Snapshot:
    """Build everything a configuration asks for without listening: certificates, expressions, files, imports.

    Args:
        old: what serves now; what did not change is taken over. into: receives the warnings too, those of `loaded` included.

    Raises:
        ConfigError: everything that is wrong or can't be built, with its place.
    """
    problems = Problems() if into is None else into
    snapshot = build(Assembly(resources or Resources.offline()), loaded, problems, old)
    problems.raise_if_errors(loaded.document)
    return snapshot


def check_ports(loaded: Loaded, problems: Problems, held: Container[str] = (), *, at_once: bool = False) -> None:
    """Report places that could not be listened on or written to, as far as that can be told without doing it.

    What another process holds now may be free when this configuration is used, and it may be our own gateway: a warning.

    Args:
        held: names of listeners, and the address of the observe site, that this process serves already.
        at_once: this very process wants them now, so nothing will be free later.
    """

    def report(obstacle: Obstacle | None, name: str, here: Problems) -> None:
        if obstacle is not None:
            add = here.warn if obstacle.passing and not at_once else here.add
            add((), f"cannot listen on {name}: {obstacle.reason}", obstacle.advice)

    settings = loaded.settings
    for index, listen in enumerate(settings.listen):
        if listen.name not in held:
            report(can_bind(place_of(listen, loaded.base_dir)), listen.name, problems.under("listen", index))
    observe = settings.observe
    if observe.listen is not None and observe.listen not in held:
        report(can_bind(observe_place(observe.listen)), observe.listen, problems.under("observe", "listen"))
    access_log = placed(observe.access_log, loaded.base_dir).path
    folder = Path(access_log).parent
    if access_log not in STANDARD and access_log != OFF and not (folder.is_dir() and os.access(folder, os.W_OK)):
        why = "cannot be written to" if folder.is_dir() else "does not exist"
        problems.add(("observe", "access_log"), f"the access log {access_log} cannot be opened: its folder {why}")
