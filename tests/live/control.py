"""What an operator does to a gateway that runs: the control socket by hand, and the real `edgegw` command."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.live.servers import ROOT, Gateway


def control(gateway: Gateway, command: str, **arguments: Any) -> dict[str, Any]:
    """Ask the gateway over its control socket; the answer's result."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(30)
        peer.connect(str(gateway.config_path.parent / "edgegw-state" / "control.sock"))
        peer.sendall(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(peer.makefile("rb").readline())
    assert answer["ok"], answer
    result: dict[str, Any] = answer["result"]
    return result


def edgegw(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the `edgegw` command about this gateway's configuration."""
    command = [sys.executable, "-m", "edgegw.cli", words[0], "--config", str(gateway.config_path), *words[1:]]
    return subprocess.run(
        command,
        cwd=Path("/"),
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
