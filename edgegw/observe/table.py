"""The table of every metric: the single source of the families and of docs/reference/metrics.md."""

from __future__ import annotations

from edgegw.observe.cells import MetricSpec

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZE_BYTES = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 16777216.0, 268435456.0)
PAUSE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

ROUTE = ("route",)
UPSTREAM = ("upstream",)
LISTENER = ("listener",)

METRICS: list[MetricSpec] = [
    # Exchanges, by the name of their route.
    MetricSpec(
        "edgegw_requests_total",
        "counter",
        ("route", "method", "code"),
        "Exchanges that ended, by the status sent downstream; 499 is a downstream peer that left before any.",
        limit=10_000,
    ),
    MetricSpec(
        "edgegw_request_duration_seconds",
        "histogram",
        ROUTE,
        "From the request's first byte to the response's last byte.",
        "seconds",
        LATENCY_S,
    ),
    MetricSpec("edgegw_request_size_bytes", "histogram", ROUTE, "Request body bytes received.", "bytes", SIZE_BYTES),
    MetricSpec("edgegw_response_size_bytes", "histogram", ROUTE, "Response body bytes sent.", "bytes", SIZE_BYTES),
    MetricSpec("edgegw_requests_in_flight", "gauge", ROUTE, "Exchanges that have begun and not ended."),
    MetricSpec(
        "edgegw_rejections_total",
        "counter",
        ("reason",),
        "Exchanges that the gateway answered with an error of its own, by the reason the access log flags.",
    ),
    # Listeners.
    MetricSpec("edgegw_connections", "gauge", LISTENER, "Open downstream connections."),
    MetricSpec("edgegw_connections_accepted_total", "counter", LISTENER, "Downstream connections that were accepted."),
    MetricSpec(
        "edgegw_connections_rejected_total",
        "counter",
        ("listener", "reason"),
        "Downstream connections that were closed unserved, by the cap or rule that closed them.",
    ),
    MetricSpec(
        "edgegw_tls_handshakes_total",
        "counter",
        ("listener", "outcome"),
        "TLS handshakes with downstream peers: `ok`, or the reason they failed for.",
    ),
    MetricSpec(
        "edgegw_http2_errors_total",
        "counter",
        ("listener", "reason"),
        "Downstream HTTP/2 connections that were ended because their peer broke the rules, by the rule.",
    ),
    # Upstreams.
    MetricSpec(
        "edgegw_upstream_attempts_total",
        "counter",
        ("upstream", "outcome"),
        "Requests sent or tried: `1xx` to `5xx` by the status that came back, else the reason there was none.",
    ),
    MetricSpec(
        "edgegw_upstream_connect_seconds",
        "histogram",
        UPSTREAM,
        "From wanting a new connection to having it: name, TCP and TLS.",
        "seconds",
        LATENCY_S,
    ),
    MetricSpec(
        "edgegw_upstream_response_seconds",
        "histogram",
        UPSTREAM,
        "From having a connection to the head of the response.",
        "seconds",
        LATENCY_S,
    ),
    MetricSpec(
        "edgegw_upstream_connections",
        "gauge",
        ("upstream", "state"),
        "Connections to the upstream's endpoints: `idle`, or `leased` to an exchange or still connecting.",
    ),
    MetricSpec("edgegw_upstream_queue", "gauge", UPSTREAM, "Exchanges that wait for a connection."),
    MetricSpec(
        "edgegw_retries_total",
        "counter",
        ("upstream", "reason"),
        "Attempts after the first, by the reason the one before failed for.",
    ),
    MetricSpec(
        "edgegw_upstream_endpoints",
        "gauge",
        ("upstream", "state"),
        "Endpoints by what holds them back most: `ready`, `pending`, `failing`, `ejected`, `not_ready`, `drained`.",
    ),
    MetricSpec(
        "edgegw_upstream_breaker_state",
        "gauge",
        UPSTREAM,
        "Of the upstream's breaker: 0 admitting, 1 probing, 2 refusing.",
    ),
    MetricSpec("edgegw_upstream_panic", "gauge", UPSTREAM, "1 while all endpoints are used because too few are free."),
    MetricSpec(
        "edgegw_upstream_events_total",
        "counter",
        ("upstream", "kind"),
        "Changes of endpoints, breakers and discovery sources, by kind; `edgegw events` shows them.",
    ),
    MetricSpec(
        "edgegw_health_checks_total", "counter", ("upstream", "outcome"), "Active probes: `passed` or `failed`."
    ),
    MetricSpec(
        "edgegw_hedges_total",
        "counter",
        ("upstream", "outcome"),
        "Second attempts that did not wait for the first to fail: `won`, `lost`, or `refused` by the retry budget.",
    ),
    MetricSpec(
        "edgegw_retries_refused_total",
        "counter",
        ("upstream", "reason"),
        "Attempts that were not made again though the error allowed it: `budget`, `attempts`, `body`, `deadline`, "
        "`answered` (a 1xx head was forwarded).",
    ),
    MetricSpec(
        "edgegw_mirrored_total",
        "counter",
        ("route", "outcome"),
        "Copies of requests: `sent`, `failed`, or `dropped` because too many were on their way or the body was too long.",
    ),
    MetricSpec(
        "edgegw_fallbacks_total",
        "counter",
        ("route", "reason"),
        "Exchanges that a route's `fallback` answered, by the reason why its target could not.",
    ),
    MetricSpec("edgegw_shed_total", "counter", ("importance",), "Exchanges refused because the process is overloaded."),
    MetricSpec(
        "edgegw_overload_level", "gauge", (), "0 none to 4: what the process gives up under pressure, see the docs."
    ),
    MetricSpec(
        "edgegw_discovery_age_seconds",
        "gauge",
        UPSTREAM,
        "Since the discovery source last confirmed what it said.",
        "seconds",
    ),
    MetricSpec(
        "edgegw_discovery_updates_total",
        "counter",
        ("upstream", "outcome"),
        "Answers of discovery sources: `ok`, `unchanged`, `failed`, `damped`.",
    ),
    # Configuration.
    MetricSpec(
        "edgegw_config_reloads_total", "counter", ("outcome",), "Reloads by outcome: `ok`, `unchanged` or `rejected`."
    ),
    MetricSpec(
        "edgegw_config_last_reload_successful",
        "gauge",
        (),
        "1 when the last reload was accepted, 0 when it was rejected.",
    ),
    MetricSpec(
        "edgegw_config_last_reload_timestamp_seconds",
        "gauge",
        (),
        "When the running configuration was accepted (Unix time).",
        "seconds",
    ),
    # The gateway looking at itself.
    MetricSpec(
        "edgegw_access_log_dropped_total",
        "counter",
        (),
        "Access records that were lost because writing could not follow.",
    ),
    MetricSpec(
        "edgegw_metric_label_sets_folded_total",
        "counter",
        ("metric",),
        "Times a label set was counted under `other` because its metric holds as many as it may.",
    ),
    MetricSpec(
        "edgegw_loop_lag_seconds",
        "histogram",
        (),
        "How late the loop ran a timer, once per second.",
        "seconds",
        PAUSE_S,
    ),
    MetricSpec(
        "edgegw_gc_pause_seconds",
        "histogram",
        ("generation",),
        "Time the process stood still for Python's garbage collector; its count is the number of collections.",
        "seconds",
        PAUSE_S,
    ),
    MetricSpec("edgegw_process_cpu_seconds_total", "counter", (), "User and system CPU time.", "seconds"),
    MetricSpec("edgegw_process_resident_memory_bytes", "gauge", (), "Resident memory (RSS).", "bytes"),
    MetricSpec("edgegw_process_open_fds", "gauge", (), "Open file descriptors."),
    MetricSpec("edgegw_process_max_fds", "gauge", (), "How many file descriptors may be open (the soft limit)."),
    MetricSpec("edgegw_process_start_time_seconds", "gauge", (), "When the process started (Unix time).", "seconds"),
    MetricSpec(
        "edgegw_build_info", "gauge", ("version", "python", "loop"), "Always 1; what is running is in the labels."
    ),
]
