"""The report as JSON, Markdown and CSV, and the short form for the terminal."""

import csv
import json
import os
from pathlib import Path

from .figures import in_order

COLUMNS = [
    ("goodQty", "good"), ("scrapQty", "scrap"), ("scrapRatePct", "scrap %"), ("downtimeMin", "downtime min"),
    ("availabilityPct", "avail. %"), ("performancePct", "perf. %"), ("qualityPct", "qual. %"), ("oeePct", "OEE %"),
]


def build(cells: dict, dirt: dict[str, int], period: tuple) -> dict:
    """The whole report as plain data."""
    rows = [{"line": line, "shift": shift, **cell.figures()} for (line, shift), cell in in_order(cells["total"])]
    return {
        "report": "shift-report",
        "periodFrom": period[0].isoformat(),
        "periodTo": period[1].isoformat(),
        "lines": rows,
        "dataQuality": dict(sorted(dirt.items())),
    }


def replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def table(rows: list[dict]) -> list[str]:
    """The figures as a Markdown table, aligned so that it reads well as text too."""
    head = ["line", "shift", *(title for _, title in COLUMNS)]
    body = [[row["line"], row["shift"], *(show(row[key]) for key, _ in COLUMNS)] for row in rows]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]

    def form(line: list[str]) -> str:
        cells = (text.ljust(width) if i < 2 else text.rjust(width) for i, (text, width) in enumerate(zip(line, widths)))
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("-" * (width + 2) if i < 2 else "-" * (width + 1) + ":" for i, width in enumerate(widths)) + "|"
    return [form(head), rule, *(form(line) for line in body)]


def show(value) -> str:
    """A figure as text."""
    if value is None:
        return "-"
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else f"{value:.1f}"


def markdown(report: dict) -> str:
    """The report for people."""
    out = [f"# Shift report {report['periodFrom']} to {report['periodTo']}", ""]
    out += table(report["lines"])
    out += ["", "## Top causes", ""]
    for row in report["lines"]:
        scrap = ", ".join(f"{top['reason']} ({top['qty']})" for top in row["topScrapReasons"])
        stops = ", ".join(f"{top['cause']} ({top['minutes']} min)" for top in row["topDowntimeCauses"])
        out.append(f"- **{row['line']} {row['shift']}**: scrap: {scrap or 'none'}; downtime: {stops or 'none'}")
    out += ["", "## Data quality", ""]
    out += [f"- {name}: {count}" for name, count in report["dataQuality"].items()]
    return "\n".join(out) + "\n"


def write_daily(path: Path, cells: dict) -> int:
    """One CSV row per day, line and shift; returns how many."""
    keys = [key for key, _ in COLUMNS]
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "line", "shift", *keys])
        rows = in_order(cells["daily"])
        for (day, line, shift), cell in rows:
            figures = cell.figures()
            writer.writerow([day.isoformat(), line, shift, *(figures[key] for key in keys)])
    os.replace(part, path)
    return len(rows)


def write_all(folder: Path, report: dict, cells: dict) -> int:
    """Write the three files; returns the number of CSV rows."""
    replace(folder / "report.json", json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    replace(folder / "report.md", markdown(report))
    return write_daily(folder / "daily.csv", cells)


def count_run(folder: Path, report: dict) -> int:
    """Add a line to the history, which survives from run to run; returns the number of runs so far."""
    path = folder / "history.jsonl"
    line = {"periodTo": report["periodTo"], "goodQty": sum(row["goodQty"] for row in report["lines"])}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return sum(1 for _ in path.open(encoding="utf-8"))
