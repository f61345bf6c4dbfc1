"""Where the API server is and what is shown to it: in a pod, by a kubeconfig, or by URL and token.

Tokens of pods are replaced about hourly and certificates of clusters now and then, so files are looked at before each request and
read again when they changed. Requests are rare: a few a minute.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from edgegw.config.problems import Problems
from edgegw.discovery.api.access import Access
from edgegw.discovery.api.errors import CredentialsError
from edgegw.discovery.api.files import Signature, read_text, signature
from edgegw.discovery.kubernetes.exec_plan import TOKEN, Shown
from edgegw.discovery.kubernetes.kubeconfig import Plan, read_kubeconfig
from edgegw.discovery.kubernetes.plugin import Plugin, check
from edgegw.discovery.kubernetes.settings import KubernetesSettings
from edgegw.net.certificates import paths_of
from edgegw.net.tls import UpstreamTls, UpstreamTlsSettings

MOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds what its service account is known by."""

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?(?P<prefix>(?:/[A-Za-z0-9._~-]+)*)/?\Z"
)
_log = Logger("edgegw.discovery.kubernetes")


class Credentials:
    """Finds the way to the API server and keeps it current.

    Args:
        base_dir: the folder that relative paths in the configuration start from. environ, mount: what a pod is told by.
        reactor: threads for the exec plugin of a kubeconfig. wall: as `time.time`, for the end of what that tells.
    """

    def __init__(
        self,
        settings: KubernetesSettings,
        base_dir: Path,
        environ: Mapping[str, str] = os.environ,
        mount: Path = MOUNT,
        *,
        reactor: Any = None,
        wall: Callable[[], float] = time.time,  # noqa: TID251
    ) -> None:
        self._settings = settings
        self._base_dir = base_dir
        self._environ = environ
        self._mount = mount
        self._access: Access | None = None
        self._files: tuple[Path, ...] = ()
        self._signature: Signature = ()
        self._told = ""
        self._reactor = reactor
        self._wall = wall
        self._plugin: Plugin | None = None
        self._plan: Plan | None = None
        """As it was read last."""
        self._dressed: tuple[Access, Access, Shown] | None = None
        """What was read, what is used instead, and what the plugin told for that."""

    @property
    def has_token(self) -> bool:
        """Whether a token is shown, or may be."""
        return self._plugin is not None or (self._access is not None and bool(self._access.token))

    async def current(self) -> Access:
        """What to use for a request now, with what the plugin tells, if there is one. Raises CredentialsError."""
        access = self.access()
        if self._plugin is None:
            return access
        shown = await self._plugin.shown()
        if self._dressed is None or self._dressed[0] is not access or self._dressed[2] is not shown:
            self._dressed = access, self._dress(access, shown), shown
        return self._dressed[1]

    async def renewed(self, refused: Access) -> Access | None:
        """What to use after a 401; None: nothing else than what was refused. Raises CredentialsError."""
        before = self._dressed
        if before is None or self._plugin is None:
            fresh = self.reload()
            return fresh if fresh.token != refused.token else None
        if before[1].token == refused.token:
            self._signature = ()
            self._plugin.forget(before[2])
        made = await self.current()
        told = self._dressed[2] if self._dressed is not None else before[2]
        return None if made.token == refused.token and told.cert == before[2].cert else made

    def access(self) -> Access:
        """What to use now. Once there was something, a file that can't be read or used leaves it in place.

        Raises:
            CredentialsError: there is nothing yet.
        """
        found = signature(self._files)
        if self._access is not None and found == self._signature:
            return self._access
        try:
            plan = self._plan_now()
            access, files = self._load(plan)
        except CredentialsError as error:
            if self._access is None:
                raise
            self._tell_once(str(error))
            return self._access
        # Taken before reading, so that what changed meanwhile is seen; files not looked at before are read once more.
        self._signature = found if files == self._files else ()
        self._access, self._files, self._told, self._plan = access, files, "", plan
        if plan.exec is None:
            self._plugin = None
        elif self._plugin is None or self._plugin.plan != plan.exec:
            self._plugin = Plugin(plan.exec, self._reactor, self._wall)
        return access

    def reload(self) -> Access:
        """The same, whatever files look like: what there was has just been refused. Raises CredentialsError."""
        self._signature = ()
        return self.access()

    def _tell_once(self, words: str) -> None:
        if words != self._told:
            self._told = words
            _log.warn("Kubernetes: {words}; what was read before stays in use", words=words)

    def _dress(self, access: Access, shown: Shown) -> Access:
        """A token of the kubeconfig goes first, as with kubectl."""
        assert self._plan is not None
        tls = access.tls
        if shown.cert is not None and access.secure:
            tls = self._tls(replace(self._plan, cert=shown.cert, key=shown.key))
        return replace(access, token=access.token or shown.token, tls=tls)

    def _load(self, plan: Plan) -> tuple[Access, tuple[Path, ...]]:
        if plan.exec is not None:
            check(plan.exec, self._environ)
        token = plan.token
        if plan.token_file is not None:
            token = read_text(self._base_dir / plan.token_file).strip()
        if (token or plan.token_file is not None) and not TOKEN.match(token):
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

    def _plan_now(self) -> Plan:
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
