"""Real little scripts that tell credentials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

V1 = "client.authentication.k8s.io/v1"


def script(folder: Path, body: str, name: str = "tell") -> str:
    """An executable of sh; its path. Each run adds a line to `runs` beside it."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho run >> "{folder}/runs"\n{body}\n')
    path.chmod(0o755)
    return str(path)


def runs(folder: Path) -> int:
    """How often scripts of this folder were run."""
    path = folder / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


def credential(version: str = V1, **status: Any) -> str:
    """What a command prints."""
    return json.dumps({"kind": "ExecCredential", "apiVersion": version, "status": status})


def saying(**status: Any) -> str:
    """The body of a script that prints a credential."""
    return f"cat <<'END'\n{credential(**status)}\nEND"
