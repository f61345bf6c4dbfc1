"""Runs the command in this process, in a folder of its own, and keeps what it printed."""

import io
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from edgegw.cli import main
from edgegw.gateway.control import ControlService
from tests.gateway.fakes import FakeGateway


class Done(NamedTuple):
    """How a run of the command ended."""

    status: int
    out: str
    err: str


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class CliCase(TestCase):
    """`self.folder` is the folder that the command runs in."""

    def setUp(self) -> None:
        # Not below trial's own folder: the path of a UNIX socket may have 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-cli-"))
        self.addCleanup(shutil.rmtree, self.folder)
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)

    def run_edgegw(
        self, line: str, environ: Mapping[str, str] | None = None, stream: type[io.StringIO] = io.StringIO
    ) -> Done:
        """Run a command line, `edgegw` left out."""
        out, err = stream(), stream()
        status = main(shlex.split(line), stdout=out, stderr=err, environ=environ or {})
        return Done(status, out.getvalue(), err.getvalue())

    async def ask_edgegw(self, line: str) -> Done:
        """The same in a thread, while a gateway answers in this one."""
        done: Done = await deferToThread(self.run_edgegw, line)
        return done

    def start_gateway(self, text: str | None = None) -> FakeGateway:
        """A gateway of this folder (`shop.yaml`) that answers on its control socket."""
        gateway = FakeGateway(self.folder) if text is None else FakeGateway(self.folder, text)
        service = ControlService(gateway, gateway.state_dir / "control.sock", reactor)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        return gateway

    def told(self, text: str) -> str:
        """Output without what differs from run to run."""
        text = text.replace(str(self.folder), "DIR")
        text = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", text)
        text = re.sub(r"\b[0-9a-f]{12}\b", "DIGEST", text)
        text = re.sub(r'("?pid"?:? )\d+', r"\1PID", text)
        return re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?", "TIME", text)
