"""The errors page of the docs, from the tables of reasons."""

from __future__ import annotations

from collections.abc import Iterable

from edgegw.cli.reasons import GATEWAY_REASONS, RESPONSE_ONLY, WIRE_REASONS, WIRE_STATUS

_HEAD = """# Errors

<!-- Made from the tables of reasons by `make docs`: change those, not this page. -->

Every answer that the gateway makes itself because something went wrong is `application/problem+json` with a `reason` from this page
and the `request_id` to quote:

```json
{"type": "about:blank", "title": "Not Found", "status": 404, "reason": "no_route", "request_id": "..."}
```

The same reason stands in the access log (`flag`) and in the metric `edgegw_rejections_total`. Details are in the log only: no peer
learns them. Status 499 is never sent; the log uses it for a downstream peer that left.
"""

_AFTER = """\
The connection is closed after the answer. A response that breaks the same rule is a 502, and its connection is not used
again."""
_SECTIONS = (
    ("downstream", "The downstream peer, and what it asked for"),
    ("upstream", "The upstream"),
    ("gateway", "The gateway"),
)


def errors_markdown() -> str:
    """The whole page as Markdown, ending in a line break."""
    lines = [_HEAD]
    for side, title in _SECTIONS:
        rows = [(name, each.status, each.text) for name, each in GATEWAY_REASONS.items() if each.side == side]
        lines += [f"## {title}", "", *_table(rows), ""]
    requests = [
        (name, WIRE_STATUS.get(name, 400), text) for name, text in WIRE_REASONS.items() if name not in RESPONSE_ONLY
    ]
    responses = [(name, 502, text) for name, text in WIRE_REASONS.items() if name in RESPONSE_ONLY]
    lines += ["## What breaks HTTP: requests", ""]
    lines += [_AFTER, ""]
    lines += [*_table(requests), "", "## What breaks HTTP: responses only", "", *_table(responses)]
    return "\n".join(lines) + "\n"


def _table(rows: Iterable[tuple[str, int, str]]) -> list[str]:
    head = ["| Reason | Status | What happened |", "|---|---|---|"]
    return head + [
        f'| <a id="{_anchor(name, text)}"></a>`{name}` | {status} | {_cell(text)} |'
        for name, status, text in sorted(rows)
    ]


def _anchor(name: str, text: str) -> str:
    """The name; with `http_` before it for a codec's reason that has a namesake above."""
    clash = name in GATEWAY_REASONS and WIRE_REASONS.get(name) == text
    return f"http_{name}" if clash else name


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
