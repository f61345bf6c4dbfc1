"""The metrics page of the docs, from the table of metrics."""

from __future__ import annotations

from collections.abc import Sequence

from edgegw.observe.cells import DEFAULT_LIMIT, MetricSpec
from edgegw.observe.table import METRICS

_HEAD = """\
# Metrics

<!-- Generated from edgegw/observe/table.py by `python -m edgegw.observe.reference`; do not edit. -->

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


if __name__ == "__main__":
    print(metrics_markdown(), end="")  # noqa: T201 - the docs are built from it.
