"""From a path to settings, and from settings to a snapshot: the one way that start, reload and every verb of the command go."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgegw.config.problems import ConfigError, Problem, Problems
from edgegw.config.source import Document, load
from edgegw.config.validation import validate
from edgegw.export.writer import STANDARD
from edgegw.gateway.assembly import Assembly, Resources
from edgegw.gateway.places import OFF, Obstacle, can_bind, observe_place, place_of, placed
from edgegw.gateway.references import check_references, without_guesses
from edgegw.gateway.settings import GatewaySettings
from edgegw.gateway.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Loaded:
    """A configuration that reads well. base_dir: the folder that relative paths in it start from."""

    document: Document
    settings: GatewaySettings
    warnings: tuple[Problem, ...]
    base_dir: Path


def read(
    path: str | Path,
    *,
    environ: Mapping[str, str] | None = None,
    depends: Callable[[Iterable[Path]], object] = lambda _: None,
) -> Loaded:
    """Read and check a configuration's text.

    Args:
        depends: told the files that it is made of, also when it turns out to be wrong: a change of one of them may mend it.

    Raises:
        ConfigError: every problem of text, schema and references.
    """
    document = load(path, environ=environ, defer=True)
    depends(document.watched_paths)
    return accept(document, base_dir_of(path))


def base_dir_of(path: str | Path) -> Path:
    """The folder that relative paths start from: that of the file, or the folder itself."""
    root = Path(path).absolute()
    return root if root.is_dir() else root.parent


def accept(document: Document, base_dir: Path) -> Loaded:
    """Check a document that was read.

    Raises:
        ConfigError: every problem of schema and references.
    """
    found = Problems()
    try:
        settings = validate(GatewaySettings, document, checks=[check_references], into=found)
    except ConfigError as error:
        raise without_guesses(error) from None
    return Loaded(document, settings, tuple(each.located(document) for each in found.warnings), base_dir)


def provision(
    loaded: Loaded, resources: Resources | None = None, old: Snapshot | None = None, into: Problems | None = None
) -> Snapshot:
    """Build everything a configuration asks for without listening: certificates, expressions, files, imports.

    Args:
        old: what serves now; what did not change is taken over. into: receives the warnings too, those of `loaded` included.

    Raises:
        ConfigError: everything that can't be built, with its place.
    """
    problems = Problems() if into is None else into
    problems.extend(loaded.warnings)
    snapshot = Assembly(resources or Resources.offline()).build(
        loaded.document, loaded.settings, loaded.base_dir, problems, old
    )
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
