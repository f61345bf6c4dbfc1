"""A kubeconfig file as the settings of one connection. What it may ask for and is not done here is an error, never left out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edgegw.discovery.api.errors import CredentialsError
from edgegw.discovery.api.fields import Malformed, flag, mapping, maps, text
from edgegw.discovery.kubernetes.exec_plan import ExecPlan, read_exec


@dataclass(frozen=True)
class Plan:
    """How the API server is reached. ca, cert, key: a path or PEM text. files: what to read again when it changes. exec: the
    command that tells token or certificate, unless there is a token here.
    """

    url: str
    namespace: str = ""
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    token: str = ""
    token_file: str | None = None
    server_name: str | None = None
    verify: bool = True
    files: tuple[Path, ...] = ()
    exec: ExecPlan | None = None


_NOT_DONE = {
    "auth-provider": "an auth-provider, which edgegw does not have; put a token into a file and name it with `token_file`",
    "username": "a user name and password, which API servers do not accept any more",
    "as": "impersonation, which edgegw does not do",
}


def read_kubeconfig(content: str, folder: Path, context: str | None = None) -> Plan:
    """One context of a kubeconfig.

    Args:
        folder: the file's own, that relative paths in it start from. context: its name; None: the current one.

    Raises:
        CredentialsError: it cannot be used, and why.
    """
    try:
        data = yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise CredentialsError(f"the kubeconfig is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(data, dict):
        raise CredentialsError("the kubeconfig is not a map")
    try:
        return _read(data, folder, context)
    except Malformed as error:
        raise CredentialsError(f"the kubeconfig cannot be read: {error}") from None


def _read(data: Mapping[str, Any], folder: Path, context: str | None) -> Plan:
    name = context or text(data, "current-context")
    if not name:
        raise CredentialsError("the kubeconfig has no current-context; say which with `context`")
    chosen = _entry(data, "contexts", "context", name)
    cluster = _entry(data, "clusters", "cluster", text(chosen, "cluster"))
    user = _entry(data, "users", "user", text(chosen, "user")) if text(chosen, "user") else {}
    for key, words in _NOT_DONE.items():
        if user.get(key):
            raise CredentialsError(f'user "{text(chosen, "user")}" of the kubeconfig has {words}')
    if cluster.get("proxy-url"):
        raise CredentialsError("the kubeconfig has a proxy-url, which edgegw does not do")
    server = text(cluster, "server")
    if not server:
        raise CredentialsError(f'cluster "{text(chosen, "cluster")}" of the kubeconfig has no server')
    token_file = text(user, "tokenFile")
    return Plan(
        url=server,
        namespace=text(chosen, "namespace"),
        ca=_pem(cluster, "certificate-authority", folder),
        cert=_pem(user, "client-certificate", folder),
        key=_pem(user, "client-key", folder),
        token=text(user, "token"),
        token_file=str(folder / token_file) if token_file else None,
        server_name=text(cluster, "tls-server-name") or None,
        verify=not flag(cluster, "insecure-skip-tls-verify"),
        exec=read_exec(user, cluster, folder) if user.get("exec") else None,
    )


def _entry(data: Mapping[str, Any], many: str, one: str, name: str) -> Mapping[str, Any]:
    entries = maps(data, many)
    for each in entries:
        if text(each, "name") == name:
            return mapping(each, one)
    known = ", ".join(text(each, "name") for each in entries) or "none"
    raise CredentialsError(f'the kubeconfig has no {one} "{name}"; it has {known}')


def _pem(data: Mapping[str, Any], key: str, folder: Path) -> str | None:
    """`KEY-data` (base64 of PEM) before `KEY` (a path)."""
    # A certificate is longer than other texts may be.
    inline = data.get(f"{key}-data")
    if isinstance(inline, str) and inline:
        try:
            return base64.b64decode(inline, validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            raise CredentialsError(f"{key}-data of the kubeconfig is not base64 of PEM") from None
    path = text(data, key)
    return str(folder / path) if path else None
