"""The pages of the docs on metrics and access records, from the tables of both."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from edgegw.observe.cells import DEFAULT_LIMIT, MetricSpec
from edgegw.observe.records import FIELDS
from edgegw.observe.table import METRICS

_HEAD = """\
# Metrics

<!-- Generated from edgegw/observe/table.py by `python -m edgegw.observe.reference metrics`; do not edit. -->

`observe.listen` opens a read-only address that answers `GET /metrics` in the Prometheus text format, or in OpenMetrics when the
`Accept` header asks for it.

- Label `route` is the *name* of a route, never a path; `-` stands for exchanges that no route took. A route's series
  appear with its first exchange.
- Each metric keeps at most 1,000 label sets apart unless its row says otherwise. What comes after that is counted under `other`,
  and `edgegw_metric_label_sets_folded_total` tells which metric was full.
- Series of routes and upstreams that a reload removed disappear.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def metrics_markdown(specs: Sequence[MetricSpec] = METRICS) -> str:
    """The whole page, as Markdown."""
    return _HEAD + "".join(map(_row, specs)) + "\n## Buckets\n\n" + "".join(map(_buckets, specs))


def _row(spec: MetricSpec) -> str:
    labels = ", ".join(f"`{label}`" for label in spec.labels) or "none"
    limit = f" (at most {spec.limit:,})" if spec.limit != DEFAULT_LIMIT else ""
    return f"| `{spec.name}` | {spec.kind} | {labels}{limit} | {spec.help} |\n"


def _buckets(spec: MetricSpec) -> str:
    if not spec.buckets:
        return ""
    return f"- `{spec.name}` ({spec.unit}): {', '.join(f'{bound:.12g}' for bound in spec.buckets)}\n"


_RECORD_HEAD = """\
# Access log

<!-- Generated from edgegw/observe/records.py by `python -m edgegw.observe.reference access-log`; do not edit. -->

`observe.access_log` writes one line per exchange, rejected heads included: `{path: stdout|stderr|off|FILE, format: json|console}`.
A file is made with mode 0640, appended to, and reopened on SIGUSR1.

Lines gather in memory and are written by a thread every 100 ms. At most 10,000 lines or 16 MiB wait; what comes when a disk or a
pipe cannot follow is dropped and counted in `edgegw_access_log_dropped_total`.

No value can forge a line: control characters are escaped. The values of query parameters that look like secrets (`token`, `code`,
`password`, `api_key`, `signature` and names that end like them) are written as `***`.

| field | meaning |
|---|---|
"""


def access_log_markdown() -> str:
    """The page on access records, as Markdown."""
    return _RECORD_HEAD + "".join(f"| `{name}` | {meaning} |\n" for name, meaning in FIELDS.items())


if __name__ == "__main__":
    pages = {"metrics": metrics_markdown, "access-log": access_log_markdown}
    sys.stdout.write(pages[sys.argv[1]]())
