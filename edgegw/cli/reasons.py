"""Every reason an exchange can fail for, in one place: those of the codecs (`edgegw.wire.reasons`) and those of all floors above.

A test compares these tables with what the code raises, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from edgegw.wire.reasons import REASONS as WIRE_REASONS

__all__ = ["GATEWAY_REASONS", "RESPONSE_ONLY", "WIRE_REASONS", "WIRE_STATUS", "Reason"]


class Reason(NamedTuple):
    """status: what the downstream peer gets; 499 and 0 are only logged. side: whose fault. text: what happened."""

    status: int
    side: str
    text: str


WIRE_STATUS: Mapping[str, int] = {
    "connect_method_refused": 405,
    "field_too_large": 431,
    "head_too_large": 431,
    "target_too_long": 414,
    "too_many_fields": 431,
    "trace_refused": 405,
    "unknown_expectation": 417,
    "unknown_method": 501,
    "unknown_transfer_coding": 501,
    "unsafe_head": 500,
    "version_not_supported": 505,
    "websocket_bad_version": 426,
}
"""What the sender of such a request is answered; 400 for all others. A response of that kind is always a 502."""

RESPONSE_ONLY = frozenset(
    {
        "bad_status",
        "bad_status_line",
        "closed_before_response",
        "too_many_informational",
        "unasked_101",
        "unsolicited_data",
        "websocket_bad_accept",
    }
)
"""Reasons that only an upstream's response can have."""

_DOWN, _UP, _HERE = "downstream", "upstream", "gateway"

GATEWAY_REASONS: Mapping[str, Reason] = {
    # The downstream peer.
    "bad_form": Reason(400, _DOWN, "A form for a mounted resource could not be read."),
    "bad_redirect": Reason(
        400, _DOWN, "What the request put into a redirect's target makes no URL; 500 if the rule is at fault."
    ),
    "body_cancelled": Reason(499, _HERE, "Nobody wanted the rest of a body any more."),
    "body_timeout": Reason(408, _DOWN, "No byte of the request's body came for `caps.body_gap`."),
    "body_too_large": Reason(413, _DOWN, "The request's body is longer than the route's `body_limit`."),
    "body_too_slow": Reason(408, _DOWN, "The request's body came slower than `caps.body_rate`."),
    "downstream_left": Reason(499, _DOWN, "The downstream peer closed the connection before its answer was complete."),
    "grpc_bad_message": Reason(
        400, _DOWN, "The prefix of a message of a gRPC call has flags that gRPC does not define."
    ),
    "grpc_bad_timeout": Reason(400, _DOWN, "The `grpc-timeout` of a gRPC call is not up to eight digits and a unit."),
    "grpc_message_too_large": Reason(413, _DOWN, "A message of a gRPC call is longer than `grpc.max_message`."),
    "grpc_web_bad_text": Reason(400, _DOWN, "The body of a gRPC-Web call in its text form is not base64."),
    "head_timeout": Reason(408, _DOWN, "A request's head was not complete within `caps.head_deadline`."),
    "misdirected_request": Reason(
        421, _DOWN, "Host would have selected another certificate or client policy than SNI did."
    ),
    "write_timeout": Reason(408, _DOWN, "The downstream peer took nothing of its answer for `caps.write_gap`."),
    # WebSocket handshakes; most of their reasons are the codecs'.
    "websocket_not_switched": Reason(
        502, _UP, "The upstream answered a handshake by 2xx instead of 101; over HTTP/2 that would mean that it agreed."
    ),
    "websocket_no_http1": Reason(
        502, _HERE, "The endpoint is spoken to in HTTP/2 only, and WebSocket takes HTTP/1.1 there."
    ),
    "websocket_drained": Reason(499, _HERE, "A WebSocket was ended by 1001, because the gateway or its listener went."),
    "websocket_failed": Reason(
        499, _HERE, "A peer of a WebSocket broke the protocol or a limit, and its Close said how."
    ),
    "websocket_idle": Reason(499, _HERE, "No message passed on a WebSocket for `websocket.idle`."),
    "websocket_lost": Reason(499, _HERE, "A peer of a WebSocket went without a Close."),
    "websocket_silent": Reason(
        499, _HERE, "A peer of a WebSocket did not answer a ping within `websocket.pong_timeout`."
    ),
    "websocket_too_fast": Reason(499, _DOWN, "The client of a WebSocket sent more messages than `websocket.rate`."),
    "websocket_off": Reason(
        501, _HERE, "The route says `websocket: {mode: off}`, or over HTTP/2 it has another target than an upstream."
    ),
    "websocket_origin_refused": Reason(403, _DOWN, "The page that opens the WebSocket is not in `websocket.origins`."),
    # Routing and files.
    "method_not_allowed": Reason(405, _DOWN, "Routes fit, but none has this method; `Allow` lists those there are."),
    "no_file": Reason(404, _DOWN, "The folder of a `files:` route has no such file, or it may not be served."),
    "no_route": Reason(404, _DOWN, "No route fits host, path and conditions."),
    "precondition_failed": Reason(412, _DOWN, "A file is not, or is, the version that the request's condition names."),
    "range_not_satisfiable": Reason(416, _DOWN, "The range asked for lies beyond the end of the file."),
    "transcode_bad_body": Reason(
        400, _DOWN, "The JSON of a request that is transcoded to gRPC does not fit its message."
    ),
    "transcode_bad_path": Reason(
        400, _DOWN, "What the path of a request that is transcoded to gRPC holds does not fit its message."
    ),
    "transcode_bad_query": Reason(
        400,
        _DOWN,
        "A query parameter of a request that is transcoded to gRPC names no field that is left to the query, or does not fit it.",
    ),
    # The upstream.
    "address_refused": Reason(
        503, _UP, "The endpoint's name, which discovery found, leads to addresses that may not be connected to."
    ),
    "connect_failed": Reason(503, _UP, "A connection to the endpoint failed, for another reason than the ones below."),
    "connect_refused": Reason(503, _UP, "The endpoint refuses connections: nothing listens there."),
    "connect_timeout": Reason(503, _UP, "No connection to the endpoint within `timeouts.connect`."),
    "grpc_bad_response": Reason(
        502,
        _UP,
        "What answers a gRPC call is not what gRPC allows, or not the message that the descriptors say; or it is compressed, though"
        " that was not asked for.",
    ),
    "grpc_response_too_large": Reason(
        502,
        _UP,
        "A message that answers a gRPC call is longer than `grpc.max_message`; the caller gets RESOURCE_EXHAUSTED.",
    ),
    "health_check_failed": Reason(502, _UP, "What answered a gRPC health check is no answer to it."),
    "health_check_timeout": Reason(504, _UP, "A health check was not answered in time."),
    "resolve_failed": Reason(503, _UP, "The endpoint's name has no address."),
    "upstream_aborted": Reason(502, _UP, "The connection to the upstream was ended from this side."),
    "upstream_closed": Reason(502, _UP, "The upstream closed the connection in the middle of an exchange."),
    "upstream_head_timeout": Reason(504, _UP, "The head of the response did not come within `timeout.head`."),
    "upstream_http2_only": Reason(
        502, _UP, "The exchange can only go over HTTP/1.1 (an upgrade), and the endpoint's URL says HTTP/2."
    ),
    "upstream_idle_timeout": Reason(504, _UP, "No byte of the response came for `timeout.idle`."),
    "upstream_not_grpc": Reason(
        502,
        _UP,
        "A gRPC call was answered with something else; the record shows this, the caller the code for its HTTP status.",
    ),
    "upstream_not_http2": Reason(502, _UP, "The endpoint is to be spoken to in HTTP/2, and answers in something else."),
    "upstream_ping_timeout": Reason(
        504, _UP, "An HTTP/2 connection to the upstream was silent and did not answer a PING."
    ),
    "upstream_refused_stream": Reason(
        503, _UP, "The upstream took an HTTP/2 stream back unread (REFUSED_STREAM, GOAWAY), each time it was tried."
    ),
    "upstream_reset": Reason(502, _UP, "The upstream reset the connection, or the HTTP/2 stream."),
    "try_timeout": Reason(504, _UP, "One attempt had no head of an answer within `retry.per_try`."),
    "upstream_send_timeout": Reason(504, _UP, "The upstream took nothing of the request's body for `timeouts.send`."),
    "upstream_tls": Reason(502, _UP, "TLS to the upstream failed: its certificate, its name or its protocol."),
    # The gateway.
    "answer_failed": Reason(500, _HERE, "A defect of the gateway while it sent an answer; the log has the traceback."),
    "bad_rewrite": Reason(500, _HERE, "A route's rewrite made something that is no path."),
    "breaker_refuses": Reason(503, _HERE, "The upstream fails, and its `breaker` lets nothing through for a while."),
    "bulkhead_full": Reason(
        503, _HERE, "`bulkhead.requests` exchanges are with the upstream, and `bulkhead.queue` wait."
    ),
    "bulkhead_timeout": Reason(503, _HERE, "No place at the upstream came free within `bulkhead.queue_timeout`."),
    "file_failed": Reason(500, _HERE, "A file could not be read to its end."),
    "gateway_stopped": Reason(503, _HERE, "The gateway ended while the exchange was under way; the connection is cut."),
    "grpc_deadline": Reason(504, _HERE, "A gRPC call was not finished within its own `grpc-timeout`."),
    "informational_answer": Reason(500, _HERE, "A middleware or resource gave a status below 200 as its final answer."),
    "internal_error": Reason(500, _HERE, "A defect of the gateway or of a middleware; the log has the traceback."),
    "loop_detected": Reason(508, _HERE, "The request came from this gateway: an upstream leads back to it."),
    "mirror_timeout": Reason(
        504, _HERE, "A copy was not finished within `mirror.timeout`; nobody but the endpoint it went to learns of it."
    ),
    "no_endpoint": Reason(503, _HERE, "The upstream has no endpoint that may be used."),
    "overloaded": Reason(
        503, _HERE, "The process is short of memory or time, and the route's `importance` is not high enough."
    ),
    "pool_queue_full": Reason(503, _HERE, "`pool.queue` requests wait for a connection already."),
    "pool_queue_timeout": Reason(503, _HERE, "No connection came free within `pool.queue_timeout`."),
    "request_length_mismatch": Reason(500, _HERE, "A middleware changed a request's body and not its length."),
    "resource_bad_header": Reason(500, _HERE, "A mounted resource set a header field that is not valid."),
    "resource_bad_length": Reason(500, _HERE, "A mounted resource wrote another length than it announced."),
    "resource_bad_status": Reason(500, _HERE, "A mounted resource set a status that is not one."),
    "resource_failed": Reason(500, _HERE, "A mounted resource raised; the log has the traceback."),
    "resource_hung_up": Reason(500, _HERE, "A mounted resource closed the connection."),
    "response_length_mismatch": Reason(500, _HERE, "A response's body is longer or shorter than its Content-Length."),
    "takeover_not_asked_for": Reason(
        500, _HERE, "A route wanted to take the connection over, and the request had not asked for it."
    ),
    "total_timeout": Reason(504, _HERE, "The exchange took longer than the route's `timeout.total`."),
    "transcode_client_stream": Reason(
        501,
        _HERE,
        "The method that a request would be transcoded to takes a stream of messages; that is not supported.",
    ),
}
"""reason -> what it means, for everything above the codecs. `bad_target` and `missing_host` come from there as well."""
