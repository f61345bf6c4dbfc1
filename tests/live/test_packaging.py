"""The wheel in an environment of its own: twistd finds the command from any folder, and so does the shell."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import venv
from pathlib import Path

from tests.live.case import LiveCase
from tests.live.servers import Gateway, PythonOrigin
from tests.wheel import ROOT, build_wheel

CONFIG = """
    edgegw: 1
    shutdown: {{lame_duck: 0s, grace: 10s}}
    listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
    upstreams: {{origin: {{endpoints: ["http://127.0.0.1:{port}"]}}}}
    routes: [{{match: /**, to: origin}}]
"""


@functools.cache
def installed() -> Path:
    """The bin folder of a fresh environment with the wheel installed, made once; needs the package registry."""
    # Of this process: the modules of the live suite run side by side.
    folder = ROOT / ".build" / f"packaging-{os.getpid()}"
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build_wheel(Path(scratch))
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "-qq", str(wheel)]
        done = subprocess.run(pip, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"pip install failed:\n{done.stdout}\n{done.stderr}"
    return folder / "bin"


def run_there(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of that environment in a folder that is nobody's."""
    with tempfile.TemporaryDirectory() as elsewhere:
        return subprocess.run(
            [str(installed() / command[0]), *command[1:]],
            cwd=elsewhere,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


class InstalledTests(LiveCase):
    """The installed wheel, run from a folder that holds nothing of the project."""

    def test_twistd_lists_the_command(self) -> None:
        """`twistd --help` names edgegw."""
        done = run_there("twistd", "--help")
        self.assertRegex(done.stdout, r"(?m)^\s+edgegw\s", done.stdout + done.stderr)

    def test_twistd_explains_the_command(self) -> None:
        """`twistd edgegw --help` shows the options, so edgegw.tap imports."""
        done = run_there("twistd", "edgegw", "--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("--config", done.stdout)

    def test_reactor_is_known(self) -> None:
        """`twistd --help-reactors` names the loop that edgegw ships."""
        self.assertIn("uvloop", run_there("twistd", "--help-reactors").stdout)

    def test_command_line(self) -> None:
        """`edgegw version` runs."""
        done = run_there("edgegw", "version")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("0.1.0", done.stdout)

    def test_serves(self) -> None:
        """The installed gateway proxies a request."""
        origin = self.serve(PythonOrigin())
        gateway = self.serve(Gateway(CONFIG.format(port=origin.port()), python=str(installed() / "python")))
        response, body = self.get(gateway, "/echo")
        self.assertEqual(response.status, 200)
        self.assertIn(b'"target": "/echo"', body)
