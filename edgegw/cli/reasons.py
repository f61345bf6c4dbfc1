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
    "head_timeout": Reason(408, _DOWN, "A request's head was not complete within `caps.head_deadline`."),
    "misdirected_request": Reason(
        421, _DOWN, "Host would have selected another certificate or client policy than SNI did."
    ),
    "write_timeout": Reason(408, _DOWN, "The downstream peer took nothing of its answer for `caps.write_gap`."),
    # Routing and files.
    "method_not_allowed": Reason(405, _DOWN, "Routes fit, but none has this method; `Allow` lists those there are."),
    "no_file": Reason(404, _DOWN, "The folder of a `files:` route has no such file, or it may not be served."),
    "no_route": Reason(404, _DOWN, "No route fits host, path and conditions."),
    "precondition_failed": Reason(412, _DOWN, "A file is not, or is, the version that the request's condition names."),
    "range_not_satisfiable": Reason(416, _DOWN, "The range asked for lies beyond the end of the file."),
    # The upstream.
    "connect_failed": Reason(503, _UP, "A connection to the endpoint failed, for another reason than the ones below."),
    "connect_refused": Reason(503, _UP, "The endpoint refuses connections: nothing listens there."),
    "connect_timeout": Reason(503, _UP, "No connection to the endpoint within `timeouts.connect`."),
    "resolve_failed": Reason(503, _UP, "The endpoint's name has no address."),
    "upstream_aborted": Reason(502, _UP, "The connection to the upstream was ended from this side."),
    "upstream_closed": Reason(502, _UP, "The upstream closed the connection in the middle of an exchange."),
    "upstream_head_timeout": Reason(504, _UP, "The head of the response did not come within `timeout.head`."),
    "upstream_idle_timeout": Reason(504, _UP, "No byte of the response came for `timeout.idle`."),
    "upstream_reset": Reason(502, _UP, "The upstream reset the connection."),
    "upstream_tls": Reason(502, _UP, "TLS to the upstream failed: its certificate, its name or its protocol."),
    # The gateway.
    "answer_failed": Reason(500, _HERE, "A defect of the gateway while it sent an answer; the log has the traceback."),
    "bad_rewrite": Reason(500, _HERE, "A route's rewrite made something that is no path."),
    "file_failed": Reason(500, _HERE, "A file could not be read to its end."),
    "gateway_stopped": Reason(503, _HERE, "The gateway ended while the exchange was under way; the connection is cut."),
    "informational_answer": Reason(500, _HERE, "A middleware or resource gave a status below 200 as its final answer."),
    "internal_error": Reason(500, _HERE, "A defect of the gateway or of a middleware; the log has the traceback."),
    "loop_detected": Reason(508, _HERE, "The request came from this gateway: an upstream leads back to it."),
    "no_endpoint": Reason(503, _HERE, "The upstream has no endpoint that may be used."),
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
}
"""reason -> what it means, for everything above the codecs. `bad_target` and `missing_host` come from there as well."""
