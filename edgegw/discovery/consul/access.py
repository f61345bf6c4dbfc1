"""What a request to the agent is made with. The token's file is read each time, certificates when their files change."""

from __future__ import annotations

import re
from pathlib import Path

from edgegw.config.problems import Problems
from edgegw.discovery.api.access import Access
from edgegw.discovery.api.errors import CredentialsError
from edgegw.discovery.api.files import Signature, read_text, signature
from edgegw.discovery.consul.settings import ConsulSettings
from edgegw.net.tls import UpstreamTls, UpstreamTlsSettings
from edgegw.upstream.address import EndpointUrl

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}\Z")


class AgentAccess:
    """Keeps it current.

    Args:
        base_dir: the folder that relative paths in the configuration start from.
    """

    def __init__(self, settings: ConsulSettings, base_dir: Path) -> None:
        self.url = EndpointUrl.parse(settings.url)
        self._settings = settings
        self._base_dir = base_dir
        self._about_tls = UpstreamTlsSettings(
            server_name=settings.server_name,
            ca=settings.ca_file,
            cert=settings.cert_file,
            key=settings.key_file,
            verify=settings.verify,
        )
        self._tls: UpstreamTls | None = None
        self._signature: Signature = ()

    def access(self) -> Access:
        """What to use now; certificates that cannot be used any more leave those before in place.

        Raises:
            CredentialsError: the token cannot be read, or no certificates could be used yet.
        """
        if self.url.secure:
            self._renew_tls()
        return Access(self.url.secure, self.url.host, self.url.port, "", "", self._tls, self.token())

    def token(self) -> str:
        """The token as it is now; empty: none is shown. Raises CredentialsError."""
        settings = self._settings
        if settings.token_file is None:
            token = settings.token.get_secret_value() if settings.token is not None else ""
            return _checked(token, "the token") if token else ""
        return _checked(read_text(self._base_dir / settings.token_file).strip(), settings.token_file)

    def _renew_tls(self) -> None:
        found = signature(self._about_tls.paths(self._base_dir))
        if self._tls is not None and found == self._signature:
            return
        problems = Problems()
        made = UpstreamTls.load(self._about_tls, problems, self._base_dir)
        if made is not None:
            self._tls = made
        elif self._tls is None:
            raise CredentialsError("; ".join(each.message for each in problems.errors))
        self._signature = found

    def __repr__(self) -> str:
        return f"<AgentAccess {self._settings.url}>"


def _checked(token: str, where: str) -> str:
    if not _TOKEN.match(token):
        raise CredentialsError(f"{where} holds no ACL token")
    return token
