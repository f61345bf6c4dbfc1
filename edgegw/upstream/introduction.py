"""What a PROXY header tells an upstream about the exchange that its connection is made for."""

from __future__ import annotations

from typing import Literal

from edgegw.exchange.model import Exchange
from edgegw.wire.proxy_header import ProxyAddress
from edgegw.wire.proxy_protocol import encode_v1, encode_v2, proxy_tlvs
from edgegw.wire.proxy_tlv import UNIQUE_ID_MAX

ProxyVersion = Literal["v1", "v2"]
"""Which PROXY header connections to an upstream begin with."""


def introduction(version: ProxyVersion, exchange: Exchange) -> bytes:
    """The header: both ends of the downstream connection, as a PROXY header before us said if there was one.

    Version 2 also tells the name that the client asked for by SNI (AUTHORITY) and the request's id (UNIQUE_ID). Of a downstream
    connection on a UNIX socket there is nothing to tell (UNKNOWN, UNSPEC).
    """
    connection = exchange.connection
    source = destination = None
    if connection.peer and connection.local_host:
        source = ProxyAddress(connection.peer, connection.peer_port)
        destination = ProxyAddress(connection.local_host, connection.local_port)
    if version == "v1":
        return encode_v1(source, destination)
    authority = connection.tls.server_name if connection.tls is not None else None
    unique_id = exchange.id.encode("utf-8")
    known = unique_id if 0 < len(unique_id) <= UNIQUE_ID_MAX else None
    return encode_v2(source, destination, proxy_tlvs(authority=authority, unique_id=known))


def self_introduction(version: ProxyVersion) -> bytes:
    """The header of a connection that the gateway makes for itself, such as a health probe: UNKNOWN, or LOCAL in version 2."""
    return encode_v1(None, None) if version == "v1" else encode_v2(None, None, local=True)
