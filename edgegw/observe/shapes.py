"""What an access record reads of an exchange, as far as this floor may know it.

`edgegw.exchange.model` stands above; its `Exchange` and `Outcome` have these attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from edgegw.errors import GatewayError


class FieldsShape(Protocol):
    """`edgegw.wire.headers.Headers`."""

    def first(self) -> Mapping[bytes, bytes]:
        """Lower-case name to first value."""


class HeadShape(Protocol):
    """`edgegw.wire.events.RequestHead`."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str | None: ...
    @property
    def authority(self) -> bytes: ...
    @property
    def version(self) -> str: ...
    @property
    def headers(self) -> FieldsShape: ...


class RequestShape(Protocol):
    """`edgegw.exchange.model.Request`."""

    @property
    def scheme(self) -> str: ...


class ConnectionShape(Protocol):
    """`edgegw.exchange.model.Connection`; tls has `version`, `cipher` and `server_name`, listener has `name`."""

    @property
    def peer(self) -> str: ...
    @property
    def tls(self) -> Any: ...
    @property
    def listener(self) -> Any: ...


class OutcomeShape(Protocol):
    """`edgegw.exchange.model.Outcome`."""

    @property
    def status(self) -> int: ...
    @property
    def complete(self) -> bool: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def error(self) -> GatewayError | None: ...


class ExchangeShape(Protocol):
    """`edgegw.exchange.model.Exchange`."""

    @property
    def head(self) -> HeadShape: ...
    @property
    def request(self) -> RequestShape: ...
    @property
    def connection(self) -> ConnectionShape: ...
    @property
    def id(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def route(self) -> Any: ...
    @property
    def upstream(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def connect_s(self) -> float: ...
    @property
    def upstream_head_s(self) -> float: ...
    @property
    def upstream_end_s(self) -> float: ...
    @property
    def flag(self) -> str: ...
    @property
    def failure(self) -> GatewayError | None: ...
