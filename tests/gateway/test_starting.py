"""What is told of a start that fails. That a process does so is in tests/test_tap.py."""

import io
import os
from typing import Any

from edgegw.gateway.loading import read
from edgegw.gateway.starting import open_log_or_exit, prepare_or_exit, read_or_exit
from tests.gateway.case import GatewayCase


class StartingTests(GatewayCase):
    def refused(self, function: Any, *args: Any, **more: Any) -> str:
        stderr = io.StringIO()
        with self.assertRaises(SystemExit) as caught:
            function(*args, stderr, **more)
        self.assertEqual(caught.exception.code, 1)
        self.assertTrue(stderr.getvalue().endswith("edgegw did not start.\n"), stderr.getvalue())
        return stderr.getvalue()

    def test_reading(self) -> None:
        self.write("listen: 1\n")
        self.assertIn("gw.yaml:2:9: error:", self.refused(read_or_exit, str(self.path)))
        self.write(self.config(routes='routes: [{match: "/{a}/{a}", respond: {status: 200}}]\n') + "sate: x\n")
        told = self.refused(read_or_exit, str(self.path))
        self.assertIn('unknown key "sate"', told)
        self.assertIn("stands twice", told)
        self.assertEqual([each.name for each in self.folder.iterdir()], ["gw.yaml"], "nothing was made of it")
        self.write(self.config())
        self.assertEqual(read_or_exit(str(self.path), io.StringIO()).base_dir, self.folder)

    def test_preparing(self) -> None:
        service = self.compose(self.config(listen="{unix: no/such/x.sock}"))
        self.assertIn("cannot listen on unix:", self.refused(prepare_or_exit, service, read(self.path), daemon=False))

    def test_a_daemon_is_told_what_is_odd(self) -> None:
        """In the foreground the log says it."""
        text = self.config(listen="{port: PORT, redirect: https}", quiet="")
        for daemon in (False, True):
            service, stderr = self.compose(text), io.StringIO()
            prepare_or_exit(service, read(self.path), stderr, daemon=daemon)
            told = stderr.getvalue()
            self.assertEqual("redirect leads out" in told, daemon, told)
            self.assertEqual("a daemon has no stdout" in told, daemon, told)
            service.privilegedStartService()
            self.patch(service, "running", 1)
            self.successResultOf(service.stopService())

    def test_log_file(self) -> None:
        self.assertIn("the log file /no/such/x.log", self.refused(open_log_or_exit, "/no/such/x.log"))
        place = open_log_or_exit(str(self.folder / "x.log"), io.StringIO())
        self.addCleanup(os.close, place.fd)
        self.assertTrue((self.folder / "x.log").exists())
