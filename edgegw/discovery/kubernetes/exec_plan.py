"""The command of a kubeconfig that tells credentials, and what it says (Kubernetes: client-go credential plugins)."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from edgegw.config.problems import quoted
from edgegw.discovery.api.errors import CredentialsError
from edgegw.discovery.api.fields import Malformed, flag, listed, mapping, maps, text
from edgegw.discovery.api.files import read_text

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
INFO = "KUBERNETES_EXEC_INFO"
"""The variable in which the command is told what is wanted."""
TOKEN = re.compile(r"[\x21-\x7e]{1,65536}\Z")
"""What can stand in a header behind `Bearer`."""
_EXTENSION = "client.authentication.k8s.io/exec"
_HINT_MAX = 200


@dataclass(frozen=True)
class ExecPlan:
    """How the command is run. command: a path, or a name to be found. env: besides the gateway's own. version: of what both say.
    hint: how people get the command.
    """

    command: str
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    version: str
    hint: str = ""

    @property
    def title(self) -> str:
        """What people call it; its arguments may hold secrets."""
        return f"the exec plugin {quoted(os.path.basename(self.command))}"


class Shown(NamedTuple):
    """What is shown to the API server: a token, a client certificate with its key (PEM), or both. until: by the clock on the wall,
    after which it must not be shown; None: until it is refused.
    """

    token: str = ""
    cert: str | None = None
    key: str | None = None
    until: float | None = None

    def __repr__(self) -> str:
        kinds = [kind for kind, there in (("token", self.token), ("certificate", self.cert)) if there]
        return f"<Shown {' and '.join(kinds)} until {self.until}>"


def read_exec(user: Mapping[str, Any], cluster: Mapping[str, Any], folder: Path) -> ExecPlan:
    """`exec` of a kubeconfig's user.

    Args:
        cluster: what it may be told of, if it wants that. folder: the kubeconfig's own.

    Raises:
        CredentialsError: it cannot be run here, and why. Malformed: it is not what it must be.
    """
    data = mapping(user, "exec")
    command, version = text(data, "command"), text(data, "apiVersion")
    if not command:
        raise CredentialsError("the exec plugin of the kubeconfig has no command")
    if version not in VERSIONS:
        raise CredentialsError(
            f"the exec plugin of the kubeconfig speaks {quoted(version)}; edgegw knows {' and '.join(VERSIONS)}"
        )
    if text(data, "interactiveMode") == "Always":
        raise CredentialsError("the exec plugin of the kubeconfig wants to ask a person, and there is none here")
    if os.sep in command:
        command = str(folder / command)
    args = listed(data, "args")
    if not all(isinstance(each, str) and "\0" not in each for each in (*args, command)):
        raise Malformed("args is not a list of texts")
    env = [(text(each, "name"), text(each, "value")) for each in maps(data, "env")]
    if any(not name or "=" in name or "\0" in name + value for name, value in env):
        raise Malformed("env is not a list of names and values")
    spec: dict[str, Any] = {"interactive": False}
    if flag(data, "provideClusterInfo"):
        spec["cluster"] = _told(cluster, folder)
    try:
        # YAML has times, which JSON has not.
        info = json.dumps({"kind": "ExecCredential", "apiVersion": version, "spec": spec}, default=_stamp)
    except (TypeError, ValueError, RecursionError):
        raise Malformed("cluster holds what cannot be told to the exec plugin") from None
    hint = " ".join(text(data, "installHint").split())[:_HINT_MAX]
    return ExecPlan(command, tuple(args), (*env, (INFO, info)), version, hint)


def _stamp(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError


def _told(cluster: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Of the cluster, as the command sees it: the authorities inline."""
    ca = cluster.get("certificate-authority-data")
    path = text(cluster, "certificate-authority")
    if not ca and path:
        ca = base64.b64encode(read_text(folder / path).encode()).decode()
    extensions = maps(cluster, "extensions")
    told = {
        "server": text(cluster, "server"),
        "tls-server-name": text(cluster, "tls-server-name"),
        "insecure-skip-tls-verify": flag(cluster, "insecure-skip-tls-verify"),
        "certificate-authority-data": ca,
        "config": next((each.get("extension") for each in extensions if each.get("name") == _EXTENSION), None),
    }
    return {key: value for key, value in told.items() if value}


def read_credential(output: bytes, version: str) -> Shown:
    """What the command printed. What it says is never part of a message.

    Raises:
        CredentialsError: that is not what it must be.
    """
    try:
        data = json.loads(output)
    except (ValueError, RecursionError):
        raise CredentialsError("it printed no JSON") from None
    if not isinstance(data, dict) or data.get("kind") != "ExecCredential":
        raise CredentialsError("it printed no ExecCredential")
    if data.get("apiVersion") != version:
        raise CredentialsError(f"it printed an ExecCredential of another version than {version}")
    try:
        status = mapping(data, "status")
        token, cert, key = (text(status, name) for name in ("token", "clientCertificateData", "clientKeyData"))
        until = text(status, "expirationTimestamp")
    except Malformed as error:
        raise CredentialsError(f"it printed an ExecCredential whose {error}") from None
    if bool(cert) != bool(key):
        raise CredentialsError("it told a certificate without its key, or a key without its certificate")
    if not token and not cert:
        raise CredentialsError("it told neither a token nor a certificate")
    if token and not TOKEN.match(token):
        raise CredentialsError("it told a token that is none")
    return Shown(token, cert or None, key or None, _seconds(until) if until else None)


def _seconds(stamp: str) -> float:
    """RFC 3339 as seconds since 1970."""
    try:
        found = datetime.fromisoformat(stamp)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise CredentialsError("it told an expirationTimestamp that is no time with a zone")
    return found.timestamp()
