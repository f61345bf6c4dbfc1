"""From a path to settings, and from settings to a snapshot: the one way that start, reload and every verb of the command go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgegw.config.problems import Problem, Problems
from edgegw.config.source import Document, load
from edgegw.config.validation import validate
from edgegw.gateway.assembly import Assembly, Resources
from edgegw.gateway.entrances import can_bind
from edgegw.gateway.settings import GatewaySettings, check_references
from edgegw.gateway.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Loaded:
    """A configuration that reads well. base_dir: the folder that relative paths in it start from."""

    document: Document
    settings: GatewaySettings
    warnings: tuple[Problem, ...]
    base_dir: Path


def read(path: str | Path, *, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read and check a configuration's text.

    Raises:
        ConfigError: every problem of text, schema and references.
    """
    return accept(load(path, environ=environ, defer=True), base_dir_of(path))


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
    settings = validate(GatewaySettings, document, checks=[check_references], into=found)
    return Loaded(document, settings, tuple(each.located(document) for each in found.warnings), base_dir)


def provision(loaded: Loaded, resources: Resources | None = None, old: Snapshot | None = None) -> Snapshot:
    """Build everything a configuration asks for without listening: certificates, expressions, files, imports.

    Raises:
        ConfigError: everything that can't be built, with its place.
    """
    problems = Problems()
    snapshot = Assembly(resources or Resources.offline()).build(loaded.document, loaded.settings, loaded.base_dir, problems, old)
    problems.extend(loaded.warnings)
    problems.raise_if_errors(loaded.document)
    return snapshot


def check_ports(loaded: Loaded, problems: Problems) -> None:
    """Report listeners that could not be bound, as far as that can be told without binding them."""
    for index, listen in enumerate(loaded.settings.listen):
        reason = can_bind(listen, loaded.base_dir)
        if reason is not None:
            problems.add(("listen", index), f"cannot listen on {listen.name}: {reason}")
