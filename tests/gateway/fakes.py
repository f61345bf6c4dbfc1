"""A gateway that only remembers what it was asked, around a snapshot that was really built."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from edgegw.config.diff import diff
from edgegw.config.problems import ConfigError
from edgegw.config.source import Document
from edgegw.gateway.eventlog import EventLog
from edgegw.gateway.history import History
from edgegw.gateway.loading import accept, base_dir_of, provision, read
from edgegw.gateway.service import Verdict
from edgegw.gateway.upkeep import Upkeep
from edgegw.observe.events import Events
from edgegw.observe.metrics import Registry

SHOP = """\
edgegw: 1
listen:
  - {port: 8080, interface: 127.0.0.1}
upstreams:
  users: {endpoints: ["http://127.0.0.1:9000", {url: "http://127.0.0.1:9001", weight: 3}]}
routes:
  - {name: users, match: "api.example.com/users/{id}/**", to: users}
  - {match: GET /hello, respond: {status: 200, body: hello}}
  - {match: "/**", to: users, when: {header: {X-Beta: "1"}}}
shutdown: {lame_duck: 0s, grace: 1s}
"""
"""A configuration with a bit of everything that the command shows."""


class FakeGateway:
    """Reloads as the real one does, but serves nobody."""

    def __init__(self, folder: Path, text: str = SHOP) -> None:
        self.config_path = folder / "shop.yaml"
        self.config_path.write_text(text)
        self.state_dir = folder / "edgegw-state"
        self.history = History(self.state_dir)
        self.asked: list[Any] = []
        self.stopped = False
        self.clock = Clock()
        self.event_log = EventLog(Events(), Registry(), self.clock)
        self.upkeep = Upkeep()
        loaded = read(self.config_path)
        self.snapshot = replace(provision(loaded), number=self.history.add(loaded.document, "start"))

    async def reload(self, source: str, *, document: Document | None = None, dry_run: bool = False) -> Verdict:
        self.asked.append((source, dry_run))
        try:
            base_dir = base_dir_of(self.config_path)
            loaded = read(self.config_path) if document is None else accept(document, base_dir)
            snapshot = provision(loaded)
        except ConfigError as error:
            return Verdict(False, self.snapshot.number, error.problems, error.sources)
        old = self.snapshot
        changes = tuple(diff(old.settings, loaded.settings, old.document, loaded.document))
        if not dry_run:
            self.snapshot = replace(snapshot, number=self.history.add(loaded.document, source))
        return Verdict(True, self.snapshot.number, loaded.problems, loaded.document.files, changes)

    async def drain_and_stop(self) -> None:
        self.stopped = True

    def status(self) -> dict[str, Any]:
        return {
            "version": "0.1.0",
            "uptime_s": 93784.0,
            "config": str(self.config_path),
            "number": self.snapshot.number,
            "digest": self.snapshot.document.digest,
            "since": "2026-11-21T12:00:00.123456+00:00",
            "ready": not self.stopped,
            "not_ready": ["draining"] if self.stopped else [],
            "connections": 3,
            "listeners": [{"name": "127.0.0.1:8080", "scheme": "http", "connections": 3}],
            "routes": len(self.snapshot.routes),
            "upstreams": len(self.snapshot.clusters),
        }
