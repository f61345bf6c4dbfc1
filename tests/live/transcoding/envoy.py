"""Envoy of the pinned wheel (`benchmarks.install`) as transcoder and gRPC-Web translator: what edgegw is compared with."""

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.install import wheel_program
from tests.live.process import Server

_EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"


def _filter(name: str, kind: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_EXTENSIONS}.http.{kind}", **options}}


def _filters(descriptors: str, transcoder: Mapping[str, Any]) -> list[dict[str, Any]]:
    settings: dict[str, Any] = {
        "proto_descriptor": descriptors,
        "services": ["acme.Orders"],
        "request_validation_options": {"reject_unknown_query_parameters": True},
        **transcoder,
    }
    return [
        _filter("envoy.filters.http.grpc_web", "grpc_web.v3.GrpcWeb"),
        _filter("envoy.filters.http.grpc_json_transcoder", "grpc_json_transcoder.v3.GrpcJsonTranscoder", **settings),
        _filter("envoy.filters.http.router", "router.v3.Router"),
    ]


def _address(port: str | int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _bootstrap(upstream: int, filters: list[dict[str, Any]]) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "grpc", "timeout": "20s"}}
    manager = {
        "@type": f"{_EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "codec_type": "AUTO",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    http2 = {"explicit_http_config": {"http2_protocol_options": {}}}
    cluster = {
        "name": "grpc",
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                **http2,
            }
        },
        "load_assignment": {
            "cluster_name": "grpc",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}],
        },
    }
    listener = {"name": "web", "address": _address("@{web}"), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


class Envoy(Server):
    """Envoy in front of a gRPC server on a loopback port.

    descriptors: path of the descriptor set. transcoder: further settings of `grpc_json_transcoder`.
    """

    config = "envoy.json"

    def __init__(self, upstream: int, descriptors: str, transcoder: Mapping[str, Any] | None = None) -> None:
        text = json.dumps(_bootstrap(upstream, _filters(descriptors, transcoder or {})))
        super().__init__(text.replace('"@{web}"', "@{web}"))

    def command(self) -> list[str]:
        program = str(wheel_program("envoy"))
        return [program, "-c", str(self.config_path), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
