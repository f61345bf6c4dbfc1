"""How the API server is reached, and what of it is watched."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pydantic import Field, SecretStr, field_validator, model_validator

from edgegw.config.model import Settings

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
_LABEL = re.compile(r"[A-Za-z0-9/._-]{1,317}")
_PREFIX = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}/?\Z")
EVERYWHERE = "*"
"""As a namespace: all of them."""


class KubernetesSettings(Settings):
    """How the API server is reached. Without anything: as a pod is told by its cluster."""

    url: str | None = Field(
        default=None, description="Of the API server; then `token_file` too.", examples=["https://10.0.0.1:6443"]
    )
    kubeconfig: str | None = Field(
        default=None,
        description="A kubeconfig file. Its exec plugin is run when a token is needed.",
        examples=["kubeconfig.yaml"],
    )
    context: str | None = Field(default=None, description="Of the kubeconfig; without it the current one.")
    namespace: str | None = Field(
        default=None, description="For services without one; without it that of the pod or of the context."
    )
    token: SecretStr | None = Field(
        default=None, description="A bearer token; `token_file` is read again, this is not."
    )
    token_file: str | None = Field(default=None, description="A file with a bearer token, read before each request.")
    ca_file: str | None = Field(default=None, description="PEM file with the authorities to trust.")
    cert_file: str | None = Field(default=None, description="PEM file: a client certificate.")
    key_file: str | None = Field(default=None, description="PEM file: its key.")
    server_name: str | None = Field(default=None, description="The name that the certificate must be for.")
    verify: bool = Field(default=True, description="Whether the API server's certificate must be right.")
    annotation_prefix: str = Field(
        default="edgegw.dev/", description="Of annotations of Services and EndpointSlices that say something to edgegw."
    )

    @field_validator("annotation_prefix")
    @classmethod
    def _ends_in_slash(cls, value: str) -> str:
        if not _PREFIX.match(value):
            raise ValueError("an annotation prefix is a DNS name and a slash, such as edgegw.dev/")
        return value if value.endswith("/") else value + "/"

    @field_validator("namespace")
    @classmethod
    def _is_namespace(cls, value: str | None) -> str | None:
        return value if value is None else checked_namespace(value)

    @model_validator(mode="after")
    def _one_way(self) -> Any:
        if self.url is not None and self.kubeconfig is not None:
            raise ValueError("`url` and `kubeconfig` are two ways to say the same; write one")
        if self.context is not None and self.kubeconfig is None:
            raise ValueError("`context` is of a kubeconfig; name that too")
        if self.token is not None and self.token_file is not None:
            raise ValueError("`token` and `token_file` are two ways to say the same; write one")
        if self.url is None:
            stray = [key for key in _OF_URL if getattr(self, key) is not None]
            if stray:
                raise ValueError(f"`{stray[0]}` needs `url`; without it the pod or the kubeconfig says all of that")
        return self


_OF_URL = ("token", "token_file", "ca_file", "cert_file", "key_file", "server_name")


class Query(NamedTuple):
    """What is watched: one Service by name, or all that have certain labels.

    namespace: a name, or `*` for all. service: empty if selector is not. port: a name or number of the Service's ports; None: it
    has one only. scheme: empty: as the Service says.
    """

    namespace: str
    service: str
    selector: str
    port: int | str | None = None
    scheme: str = ""

    @property
    def title(self) -> str:
        """What people call it."""
        port = "" if self.port is None else f":{self.port}"
        return f"{self.namespace}/{self.service or f'[{self.selector}]'}{port}"


def checked_namespace(text: str) -> str:
    """A namespace's name or `*`. Raises ValueError."""
    if text != EVERYWHERE and (not _NAME.match(text) or len(text) > 63 or "." in text):
        raise ValueError(f'"{text[:70]}" is no name of a namespace')
    return text


def split_service(text: str) -> tuple[str, str]:
    """`NAMESPACE/NAME` or `NAME` as namespace (maybe empty) and name. Raises ValueError."""
    namespace, _, name = text.rpartition("/")
    if not _NAME.match(name):
        raise ValueError(f'"{text[:70]}" is no name of a Service; write NAME or NAMESPACE/NAME')
    return (checked_namespace(namespace) if namespace else ""), name


def checked_selector(text: str) -> str:
    """A label selector of the API (`app=users,tier in (a,b),!canary`), roughly checked: the API server judges it.

    Raises:
        ValueError: it cannot be one.
    """
    if not _LABEL.search(text) or len(text) > 1000 or not text.isascii() or not text.isprintable():
        raise ValueError(f'"{text[:70]}" is no label selector; write app=users,tier!=test')
    return text
