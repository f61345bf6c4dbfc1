"""gRPC's own interop suite through the gateway, for `make nightly`: 14 cases, on clear text."""

import os
import subprocess
import sys
import unittest

from tests.live.cache import CannotHave
from tests.live.interop_install import install, path
from tests.live.process import Server
from tests.live.protocols import Fronted

CASES = (
    "empty_unary", "large_unary", "server_streaming", "client_streaming", "ping_pong", "cancel_after_begin",
    "cancel_after_first_response", "empty_stream", "status_code_and_message", "custom_metadata", "unimplemented_method",
    "unimplemented_service", "timeout_on_sleeping_server", "special_status_message",
)  # fmt: skip


class InteropServer(Server):
    """The suite's server."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.interop.server", "--port", str(self.port()), "--use_tls", "false"]


class InteropTests(Fronted):
    """The suite's client before the gateway, its server behind."""

    def test_cases(self) -> None:
        """Every case ends well."""
        try:
            folder = install()
        except CannotHave as reason:
            raise unittest.SkipTest(str(reason)) from reason
        server = InteropServer(env={"PYTHONPATH": path(folder)})
        server.port()
        self.serve(server)
        gateway = self.before(f"grpc://127.0.0.1:{server.port()}", route="grpc: {max_message: 16MiB}")
        failed = {}
        for case in CASES:
            command = [sys.executable, "-m", "tests.interop.client", "--server_host", "127.0.0.1", "--use_tls", "false"]
            done = subprocess.run(
                [*command, "--server_port", str(gateway.port("web")), "--test_case", case],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path(folder)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if done.returncode != 0:
                failed[case] = done.stderr[-1500:]
        self.assertEqual(failed, {}, "\n".join(failed.values()))
