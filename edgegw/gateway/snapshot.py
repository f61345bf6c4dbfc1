"""Everything compiled from one configuration: immutable, swapped by one assignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from edgegw.config.source import Document
from edgegw.discovery.feed import Feed
from edgegw.gateway.settings import GatewaySettings
from edgegw.net.listener import Terms
from edgegw.routing.router import Route
from edgegw.routing.tree import Tree
from edgegw.upstream.cluster import Cluster


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One configuration, ready to serve.

    document, settings: what it was made from. tree, routes: which route an exchange belongs to. clusters: upstreams by name.
    feeds: the discovery of those that have it.
    terms: how connections of each listener are served, by the listener's name. watched: files it depends on besides the
    configuration itself. since: when it was made. number: its place in the history, 0 before it was accepted. tls_marks,
    files_digest: by which the next one sees whether certificates and other watched files are the same.
    """

    document: Document = field(repr=False)
    settings: GatewaySettings = field(repr=False)
    tree: Tree = field(repr=False)
    routes: tuple[Route, ...] = field(repr=False)
    clusters: Mapping[str, Cluster] = field(repr=False)
    feeds: Mapping[str, Feed] = field(repr=False)
    terms: Mapping[str, Terms] = field(repr=False)
    watched: tuple[Path, ...] = field(repr=False)
    since: datetime
    number: int = 0
    tls_marks: Mapping[str, object] = field(default_factory=dict, repr=False)
    files_digest: bytes = field(default=b"", repr=False)

    def is_same_as(self, other: Snapshot) -> bool:
        """Whether both were made from the same texts and the same files."""
        return self.document.digest == other.document.digest and self.files_digest == other.files_digest

    def __repr__(self) -> str:
        counts = f"{len(self.routes)} routes, {len(self.clusters)} upstreams, {len(self.terms)} listeners"
        return f"<Snapshot {self.number} {self.document.digest[:12]} {counts}>"
