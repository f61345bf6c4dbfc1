"""From a path to settings, and what `edgegw check` finds without listening."""

import shutil
import socket
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from edgegw.config.problems import ConfigError, Problems
from edgegw.gateway.loading import base_dir_of, check_ports, provision, read
from edgegw.gateway.places import Obstacle
from tests.certs import Authority

BASE = "edgegw: 1\nlisten: [{port: 8080, interface: 127.0.0.1}]\n"


class LoadingCase(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-load-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "gw.yaml"

    def write(self, text: str) -> Path:
        self.path.write_text(text)
        return self.path


class ReadTests(LoadingCase):
    def test_base_dir(self) -> None:
        self.write(BASE)
        self.assertEqual(base_dir_of(self.path), self.folder)
        self.assertEqual(base_dir_of(self.folder), self.folder)
        self.assertTrue(base_dir_of("relative.yaml").is_absolute())
        self.assertEqual(read(self.path).base_dir, self.folder)

    def test_what_it_depends_on(self) -> None:
        """Told for good ones and, as far as it got, for bad ones."""
        (self.folder / "state").write_text("x")
        for text in (BASE + "state: file:state\n", BASE + "state: file:state\nnothing: 1\n"):
            seen: list[Path] = []
            try:
                read(self.write(text), depends=seen.extend)
            except ConfigError:
                pass
            self.assertEqual([path.name for path in seen], ["gw.yaml", "state"])

    def test_warnings_are_kept(self) -> None:
        loaded = read(self.write(BASE.replace("127.0.0.1", "127.0.0.1, redirect: https")))
        self.assertEqual([problem.line for problem in loaded.problems], [2])


class ProvisionTests(LoadingCase):
    def test_all_warnings_come_along(self) -> None:
        """Those of the text, and those that only building finds: a certificate that expires soon."""
        Authority().issue("localhost", ends_days=3).write(self.folder, "a")
        text = "edgegw: 1\nlisten: [{port: 1, redirect: https}, {port: 2, tls: {cert: a.pem, key: a.key}}]\n"
        found = Problems()
        provision(read(self.write(text)), into=found)
        self.assertEqual([problem.loc[:2] for problem in found.warnings], [("listen", 1)])
        self.assertFalse(found.errors)

    def test_errors_are_raised_with_their_places(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            provision(read(self.write(BASE + 'routes: [{match: "/{a}/{a}", respond: {status: 200}}]\n')))
        self.assertEqual(caught.exception.problems[0].line, 3)


class CheckPortsTests(LoadingCase):
    def check(self, text: str, *held: str, at_once: bool = False) -> Problems:
        found = Problems()
        check_ports(read(self.write(text)), found, held, at_once=at_once)
        return found

    def test_nothing_wrong(self) -> None:
        with mock.patch("edgegw.gateway.loading.can_bind", return_value=None):
            self.assertEqual(list(self.check(BASE)), [])

    def test_what_may_pass_is_a_warning_unless_it_is_wanted_now(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            text = BASE.replace("8080", str(port)) + f"observe: {{listen: 'localhost:{port + 1}', access_log: 'off'}}\n"
            found = self.check(text)
            self.assertEqual([(each.loc, each.severity) for each in found], [(("listen", 0), "warning")])
            self.assertTrue(self.check(text, at_once=True).errors)
            self.assertEqual(list(self.check(text, f"127.0.0.1:{port}", at_once=True)), [], "it is ours already")

    def test_what_does_not_pass_is_an_error(self) -> None:
        found = self.check("edgegw: 1\nlisten: [{unix: no/such/x.sock}]\n")
        self.assertEqual([(each.loc, each.severity) for each in found], [(("listen", 0), "error")])

    def test_observe(self) -> None:
        text = BASE + "observe: {listen: '127.0.0.1:9902', access_log: no/such/a.log}\n"
        obstacle = Obstacle("taken", "free it")
        with mock.patch("edgegw.gateway.loading.can_bind", side_effect=[None, obstacle]):
            found = self.check(text)
        self.assertEqual([each.loc for each in found], [("observe", "listen"), ("observe", "access_log")])
        self.assertEqual(found.errors[0].hint, "free it")
        self.assertIn(f"{self.folder}/no/such/a.log", found.errors[1].message)
        with mock.patch("edgegw.gateway.loading.can_bind", return_value=obstacle):
            self.assertEqual(len(self.check(text, "127.0.0.1:8080", "127.0.0.1:9902").errors), 1)
