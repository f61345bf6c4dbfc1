"""The report of a run: Markdown for people, JSON for whoever compares runs, the same facts in both."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import Sample
from benchmarks.rounds import Outcome, RowOutcome
from benchmarks.rows import Budget

GOAL_MET = "goal met"
LANDED = "first landing met, goal missed"
MISSED = "MISSED"
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Facts:
    """Where and how a run was made; no host name and nothing else that tells who."""

    command: str
    started: datetime
    pace: str
    versions: Mapping[str, str]
    machine: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """One budget line, judged. `measured` is a ratio, or a number in `unit` when the budget is absolute."""

    path: str
    measured: float | None
    unit: str
    goal: float
    first_landing: float
    word: str


def machine_facts() -> dict[str, str]:
    """Cores, processor, kernel, Python and the load when the run began."""
    models = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cores": str(os.cpu_count()),
        "processor": models[0] if models else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load average at the start": " ".join(_lines("/proc/loadavg")[0].split()[:3]),
    }


def judge(budget: Budget, result: RowOutcome) -> Verdict:
    """Compare one budget with what was measured."""
    if budget.against is None:
        measured, unit = result.value(budget.of), result.row.unit
    else:
        measured, unit = result.ratio(budget.of, budget.against), "x"
    if measured is None:
        word = NOT_MEASURED
    elif measured <= budget.goal:
        word = GOAL_MET
    else:
        word = LANDED if measured <= budget.first_landing else MISSED
    return Verdict(budget.path, measured, unit, budget.goal, budget.first_landing, word)


def verdicts(results: Sequence[RowOutcome]) -> list[Verdict]:
    """Every budget line of the rows, in their order."""
    return [judge(budget, result) for result in results for budget in result.row.budgets]


def failures(results: Sequence[RowOutcome]) -> list[str]:
    """One line for every entrant that could not be compared."""
    return [
        f"{result.row.name}: {outcome.label}: {outcome.failure}"
        for result in results
        for outcome in result.outcomes.values()
        if outcome.failure
    ]


def markdown(facts: Facts, results: Sequence[RowOutcome]) -> str:
    """The whole report as Markdown."""
    parts = [_heading(facts), _budget_table(results)]
    parts.extend(_row_table(result) for result in results)
    parts.append(_failure_list(results))
    parts.append(_environment(facts))
    return "\n\n".join(part for part in parts if part) + "\n"


def document(facts: Facts, results: Sequence[RowOutcome]) -> dict[str, Any]:
    """The whole report as JSON values, every sample included."""
    return {
        "command": facts.command,
        "started": facts.started.isoformat(),
        "pace": facts.pace,
        "versions": dict(facts.versions),
        "machine": dict(facts.machine),
        "budget": [asdict(verdict) for verdict in verdicts(results)],
        "rows": [_row_document(result) for result in results],
    }


def write(folder: Path, name: str, facts: Facts, results: Sequence[RowOutcome]) -> Path:
    """Write `<date>-<name>.md` and `.json` into `folder`; returns the Markdown file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{facts.started:%Y-%m-%d-%H%M}-{name}"
    (folder / f"{stem}.json").write_text(json.dumps(document(facts, results), indent=1) + "\n")
    page = folder / f"{stem}.md"
    page.write_text(markdown(facts, results))
    return page


def _heading(facts: Facts) -> str:
    return (
        f"# Benchmark of {facts.started:%Y-%m-%d %H:%M} UTC\n\n"
        f"Made by `{facts.command}` ({facts.pace}).\n\n"
        "Read the ratios: they compare peers within this run, on this machine. The absolute figures mean nothing elsewhere.\n"
        "CPU is that of the proxy's whole process tree, user and system, divided by the requests in the same window. The proxy\n"
        "was alone on its core as far as this run goes; origin and load generator shared another. Rounds are interleaved; values\n"
        "are medians, ratios are medians of the rounds' ratios, p50 and p99 are at saturation."
    )


def _budget_table(results: Sequence[RowOutcome]) -> str:
    lines = [
        f"| {verdict.path} | {_amount(verdict.measured, verdict.unit)} | {_amount(verdict.goal, verdict.unit)} "
        f"| {_amount(verdict.first_landing, verdict.unit)} | {verdict.word} |"
        for verdict in verdicts(results)
    ]
    head = [
        "## Budget",
        "",
        "| path | measured | goal, at most | first landing, at most | verdict |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(head + lines)


def _row_table(result: RowOutcome) -> str:
    row = result.row
    head = [
        f"## {row.title}",
        "",
        f"| peer | {row.unit} | lowest - highest | ratio to {row.baseline} | req/s | p50 ms | p99 ms | RSS MiB | peak RSS MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(head + [_line(result, outcome) for outcome in result.outcomes.values()])


def _line(result: RowOutcome, outcome: Outcome) -> str:
    if outcome.failure or not outcome.samples:
        return f"| {outcome.label} | failed |" + " |" * 7
    values = [sample.value for sample in outcome.samples]
    ratio = result.ratio(outcome.label, result.row.baseline)
    cells = [
        outcome.label,
        f"{outcome.median('value'):.1f}",
        f"{min(values):.1f} - {max(values):.1f}",
        "" if ratio is None else f"{ratio:.2f}",
        *(f"{outcome.median(name):{form}}" for name, form in (("rps", ".0f"), ("p50_ms", ".2f"), ("p99_ms", ".2f"))),
        *(f"{outcome.median(name) / 1024:.1f}" for name in ("rss_kib", "rss_peak_kib")),
    ]
    return "| " + " | ".join(cells) + " |"


def _failure_list(results: Sequence[RowOutcome]) -> str:
    found = failures(results)
    return "## Failed\n\n" + "\n".join(f"- {line}" for line in found) if found else ""


def _environment(facts: Facts) -> str:
    pairs = [*facts.versions.items(), *facts.machine.items()]
    return "\n".join(
        ["## Versions and machine", "", "| what | value |", "|---|---|", *(f"| {k} | {v} |" for k, v in pairs)]
    )


def _row_document(result: RowOutcome) -> dict[str, Any]:
    row = result.row
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.unit,
        "baseline": row.baseline,
        "peers": [
            {
                "label": outcome.label,
                "median": outcome.median("value"),
                "ratio": result.ratio(outcome.label, row.baseline),
                "failure": outcome.failure,
                "log_lines": outcome.log_lines,
                "samples": [_sample_document(sample) for sample in outcome.samples],
            }
            for outcome in result.outcomes.values()
        ],
    }


def _sample_document(sample: Sample) -> dict[str, Any]:
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(sample).items()}
    return rounded


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}x" if unit == "x" else f"{value:.1f} {unit}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
