"""Discovery by a file, as a deployment's tool writes it: replaced, swapped, broken, gone."""

import json
from pathlib import Path

from tests.live.control import edgegw
from tests.live.discovered import DiscoveryCase
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


class FileTests(DiscoveryCase):
    """Two origins, and a file that names them."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.origin("one"), self.origin("two")
        # Not next to the access log: a folder where much happens is looked at less often.
        self.gateway = Gateway(FRONT, files={"found/endpoints.json": self.text("one")})

    def text(self, *names: str) -> str:
        return json.dumps([self.origins[name].url for name in names])

    @property
    def folder(self) -> Path:
        return self.gateway.folder / "found"

    def replace(self, text: str) -> None:
        fresh = self.folder / "fresh"
        fresh.write_text(text)
        fresh.replace(self.folder / "endpoints.json")

    def test_changes(self) -> None:
        self.serve(self.gateway)
        self.serves("one")
        with self.nothing_lost():
            self.replace(self.text("one", "two"))
            self.serves("one", "two")
            self.replace(self.text("two"))
            self.serves("two")
            self.one.stop()
            self.replace(self.text("two") + "]")
            self.await_failing("endpoints.json:1:")
            self.assertRegex(self.source()["last_error"], r"endpoints\.json:1:\d+: error: ")
            (self.folder / "endpoints.json").unlink()
            self.is_stale()
            self.serves("two")
            self.replace(self.text("two"))
            self.is_fresh()

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
        self.serves("one")
        (folder / "..next").symlink_to("v2")
        (folder / "..next").rename(folder / "..data")
        self.serves("two")

    def test_reload_keeps_watching(self) -> None:
        """A reload that leaves the discovery alone does not read anew, one that changes it takes over without a gap."""
        self.serve(self.gateway)
        self.serves("one")
        with self.nothing_lost():
            self.gateway.write(FRONT.replace("found/endpoints.json", "found/others.json"))
            self.assertEqual(edgegw(self.gateway, "reload").returncode, 0)
            self.serves("one")
            (self.folder / "others.json").write_text(self.text("two"))
            self.serves("two")

    def test_check(self) -> None:
        """What is wrong is told before anything runs, with its place."""
        text = FRONT.replace("from: file, path: found/endpoints.json", "from: dnss, name: a.b")
        gateway = Gateway(text)
        told = edgegw(gateway, "check")
        self.assertEqual(told.returncode, 1)
        self.assertIn('source "dnss" is not known; known: ', told.stdout + told.stderr)
        self.assertIn('did you mean "dns"?', told.stdout + told.stderr)
