"""Where the API server is and what is shown to it: in a pod, by a kubeconfig, or by URL and token.

Tokens of pods are replaced about hourly and certificates of clusters now and then, so files are looked at before each request and
read again when they changed. Requests are rare: a few a minute.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from twisted.logger import Logger

from edgegw.config.problems import Problems
from edgegw.discovery.api.access import Access
from edgegw.discovery.api.errors import CredentialsError
from edgegw.discovery.api.files import Signature, read_text, signature
from edgegw.discovery.kubernetes.kubeconfig import Plan, read_kubeconfig
from edgegw.discovery.kubernetes.settings import KubernetesSettings
from edgegw.net.certificates import paths_of
from edgegw.net.tls import UpstreamTls, UpstreamTlsSettings

MOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds what its service account is known by."""

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?(?P<prefix>(?:/[A-Za-z0-9._~-]+)*)/?\Z"
)
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}\Z")
_log = Logger("edgegw.discovery.kubernetes")


class Credentials:
    """Finds the way to the API server and keeps it current.

    Args:
        base_dir: the folder that relative paths in the configuration start from. environ, mount: what a pod is told by.
    """

    def __init__(
        self,
        settings: KubernetesSettings,
        base_dir: Path,
        environ: Mapping[str, str] = os.environ,
        mount: Path = MOUNT,
    ) -> None:
        self._settings = settings
        self._base_dir = base_dir
        self._environ = environ
        self._mount = mount
        self._access: Access | None = None
        self._files: tuple[Path, ...] = ()
        self._signature: Signature = ()
        self._told = ""

    def access(self) -> Access:
        """What to use now. Once there was something, a file that can't be read or used leaves it in place.

        Raises:
            CredentialsError: there is nothing yet.
        """
        found = signature(self._files)
        if self._access is not None and found == self._signature:
            return self._access
        try:
            access, files = self._load()
        except CredentialsError as error:
            if self._access is None:
                raise
            self._tell_once(str(error))
            return self._access
        # Taken before reading, so that what changed meanwhile is seen; files not looked at before are read once more.
        self._signature = found if files == self._files else ()
        self._access, self._files, self._told = access, files, ""
        return access

    def reload(self) -> Access:
        """The same, whatever files look like: what there was has just been refused. Raises CredentialsError."""
        self._signature = ()
        return self.access()

    def _tell_once(self, words: str) -> None:
        if words != self._told:
            self._told = words
            _log.warn("Kubernetes: {words}; what was read before stays in use", words=words)

    def _load(self) -> tuple[Access, tuple[Path, ...]]:
        plan = self._plan()
        token = plan.token
        if plan.token_file is not None:
            token = read_text(self._base_dir / plan.token_file).strip()
        if (token or plan.token_file is not None) and not _TOKEN.match(token):
            raise CredentialsError(f"{plan.token_file or 'the token'} holds no bearer token")
        found = _URL.match(plan.url)
        if found is None:
            raise CredentialsError(f'"{plan.url[:100]}" is not the URL of an API server; write https://HOST:PORT')
        secure = found["scheme"] == "https"
        port = int(found["port"] or (443 if secure else 80))
        if not 0 < port < 65536:
            raise CredentialsError(f"port {port} is not between 1 and 65535")
        files = (*plan.files, *paths_of((plan.token_file, plan.ca, plan.cert, plan.key), self._base_dir))
        tls = self._tls(plan) if secure else None
        return Access(secure, found["host"].strip("[]"), port, found["prefix"], plan.namespace, tls, token), files

    def _tls(self, plan: Plan) -> UpstreamTls:
        problems = Problems()
        settings = UpstreamTlsSettings(
            server_name=plan.server_name, ca=plan.ca, cert=plan.cert, key=plan.key, verify=plan.verify
        )
        made = UpstreamTls.load(settings, problems, self._base_dir)
        if not plan.verify:
            self._tell_unverified(plan.url)
        if made is None:
            raise CredentialsError("; ".join(each.message for each in problems.errors))
        return made

    def _tell_unverified(self, url: str) -> None:
        if self._access is None:
            _log.warn(
                "Kubernetes: the certificate of {url} is not verified: whoever answers there can read the token and name endpoints",
                url=url,
            )

    def _plan(self) -> Plan:
        settings = self._settings
        if settings.url is not None:
            token = settings.token.get_secret_value() if settings.token is not None else ""
            return Plan(
                url=settings.url,
                namespace=settings.namespace or "",
                ca=settings.ca_file,
                cert=settings.cert_file,
                key=settings.key_file,
                token=token,
                token_file=settings.token_file,
                server_name=settings.server_name,
                verify=settings.verify,
            )
        plan = self._of_kubeconfig(settings.kubeconfig) if settings.kubeconfig is not None else self._of_pod()
        return replace(plan, namespace=settings.namespace or plan.namespace, verify=plan.verify and settings.verify)

    def _of_kubeconfig(self, name: str) -> Plan:
        path = (self._base_dir / Path(name).expanduser()).absolute()
        plan = read_kubeconfig(read_text(path), path.parent, self._settings.context)
        return replace(plan, files=(path,))

    def _of_pod(self) -> Plan:
        """As every pod is told (Kubernetes: Accessing the API from a Pod)."""
        host, port = (self._environ.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
        if not host or not port:
            raise CredentialsError(
                "this process does not run in a pod (KUBERNETES_SERVICE_HOST is not set); "
                "name the API server in `discovery` with url or kubeconfig"
            )
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        where = self._mount / "namespace"
        namespace = read_text(where).strip() if where.exists() else ""
        token, ca = str(self._mount / "token"), str(self._mount / "ca.crt")
        return Plan(f"https://{authority}", namespace, ca=ca, token_file=token)

    def __repr__(self) -> str:
        return f"<Credentials for {self._access.origin if self._access else 'nothing yet'}>"
