"""Discovery by a file, as a deployment's tool writes it: replaced, swapped, broken, gone."""

import json
from pathlib import Path
from typing import Any

from tests.live.case import LiveCase
from tests.live.control import control, edgegw
from tests.live.discovered import Named
from tests.live.load import Load
from tests.live.process import wait_until
from tests.live.servers import Gateway

FRONT = """
    edgegw: 1
    shutdown: {lame_duck: 0s, grace: 10s}
    observe: {listen: "127.0.0.1:@{observe}", access_log: "@{dir}/access.log"}
    listen: [{port: @{web}, interface: 127.0.0.1}]
    upstreams:
      u: {discovery: {from: file, path: found/endpoints.json, allow: [127.0.0.0/8], stale_after: 3s}}
    routes: [{match: /**, to: u}]
"""


class FileTests(LiveCase):
    """Two origins, and a file that names them."""

    def setUp(self) -> None:
        super().setUp()
        self.origins = {name: Named(name) for name in ("one", "two")}
        for origin in self.origins.values():
            self.addCleanup(origin.stop)
        # Not next to the access log: a folder where much happens is looked at less often.
        self.gateway = Gateway(FRONT, files={"found/endpoints.json": self.text("one")})

    def text(self, *names: str) -> str:
        return json.dumps([f"http://127.0.0.1:{self.origins[name].port}" for name in names])

    @property
    def folder(self) -> Path:
        return self.gateway.folder / "found"

    def replace(self, text: str) -> None:
        fresh = self.folder / "fresh"
        fresh.write_text(text)
        fresh.replace(self.folder / "endpoints.json")

    def answers(self, count: int = 50) -> set[str]:
        return {self.get(self.gateway, "/")[1].decode() for _ in range(count)}

    def discovery(self) -> dict[str, Any]:
        found: dict[str, Any] = control(self.gateway, "upstreams")["upstreams"][0]["discovery"]
        return found

    def test_changes(self) -> None:
        self.serve(self.gateway)
        wait_until(lambda: self.answers(1) == {"one"}, "the first serves")
        with Load(self.gateway.port()) as load:
            self.replace(self.text("one", "two"))
            wait_until(lambda: self.answers() == {"one", "two"}, "both serve")
            self.replace(self.text("two"))
            wait_until(lambda: self.answers() == {"two"}, "the second serves alone")
            self.origins["one"].stop()
            self.replace(self.text("two") + "]")
            wait_until(lambda: self.discovery()["failing"], "the broken file was seen")
            self.assertRegex(self.discovery()["last_error"], r"endpoints\.json:1:\d+: error: ")
            (self.folder / "endpoints.json").unlink()
            wait_until(lambda: self.discovery()["state"] == "stale", "it is stale", 20)
            self.assertEqual(self.answers(), {"two"})
            self.replace(self.text("two"))
            wait_until(lambda: self.discovery()["state"] == "fresh", "it is back", 20)
        self.assertEqual(dict(load.failed), {})
        self.assertGreater(load.done, 100)

    def test_config_map(self) -> None:
        """Kubernetes mounts a ConfigMap as links into a folder that is swapped."""
        folder = self.folder
        (folder / "endpoints.json").unlink()
        for version, name in (("v1", "one"), ("v2", "two")):
            (folder / version).mkdir()
            (folder / version / "endpoints.json").write_text(self.text(name))
        (folder / "..data").symlink_to("v1")
        (folder / "endpoints.json").symlink_to("..data/endpoints.json")
        self.serve(self.gateway)
        wait_until(lambda: self.answers(1) == {"one"}, "the first version serves")
        (folder / "..next").symlink_to("v2")
        (folder / "..next").rename(folder / "..data")
        wait_until(lambda: self.answers() == {"two"}, "the second version serves")

    def test_reload_keeps_watching(self) -> None:
        """A reload that leaves the discovery alone does not read anew, one that changes it takes over without a gap."""
        self.serve(self.gateway)
        wait_until(lambda: self.answers(1) == {"one"}, "it serves")
        with Load(self.gateway.port()) as load:
            self.gateway.write(FRONT.replace("found/endpoints.json", "found/others.json"))
            self.assertEqual(edgegw(self.gateway, "reload").returncode, 0)
            self.assertEqual(self.answers(), {"one"})
            (self.folder / "others.json").write_text(self.text("two"))
            wait_until(lambda: self.answers() == {"two"}, "the other file serves", 20)
        self.assertEqual(dict(load.failed), {})

    def test_check(self) -> None:
        """What is wrong is told before anything runs, with its place."""
        text = FRONT.replace("from: file, path: found/endpoints.json", "from: dnss, name: a.b")
        gateway = Gateway(text)
        told = edgegw(gateway, "check")
        self.assertEqual(told.returncode, 1)
        self.assertIn('source "dnss" is not known; known: ', told.stdout + told.stderr)
        self.assertIn('did you mean "dns"?', told.stdout + told.stderr)
