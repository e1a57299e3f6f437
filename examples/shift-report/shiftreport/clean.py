"""From what the export says to what can be counted. Every repair and every refusal has a name and is counted."""

import csv
import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

SHIFT_HOURS = {"early": 6, "late": 14, "night": 22}
SHIFT_WORDS = {
    "early": "early", "f": "early", "früh": "early",
    "late": "late", "s": "late", "spät": "late",
    "night": "night", "n": "night", "nacht": "night",
}
STATUS_WORDS = {
    "completed": "done", "fertig": "done", "cnf": "done",
    "in progress": "running", "rel": "running",
    "cancelled": "cancelled", "storno": "cancelled",
}
TIME_FORMATS = ("%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%S")


@dataclass
class Order:
    """One work order, cleaned."""

    number: str
    line: str
    machine: str
    product: str
    shift: str
    day: date  # the day on which the shift began
    start: datetime
    end: datetime | None
    good: int
    scrap: int
    scrap_reason: str
    cycle_s: float | None
    status: str


@dataclass
class Downtime:
    """One stop of a machine, cleaned and cut at the end of its shift."""

    machine: str
    start: datetime
    end: datetime
    cause: str
    planned: bool
    shift: str
    day: date


def moment(text: str) -> datetime | None:
    """A timestamp in any of the formats of the export; None where there is none."""
    for form in TIME_FORMATS:
        try:
            return datetime.strptime(text.strip(), form)
        except ValueError:
            continue
    return None


def pieces(text: str) -> int | None:
    """A whole number of pieces.

    `1.234` and `1,234` are both 1234, for nobody counts pieces in thousandths; `90,00` is 90. None where it is no number.
    """
    text = re.sub(r"\s*(Stk|pcs)\.?$", "", text.strip())
    if re.fullmatch(r"-?\d{1,3}([.,]\d{3})+", text):
        return int(re.sub(r"[.,]", "", text))
    match = re.fullmatch(r"(-?\d+)([.,]0{1,2})?", text)
    return int(match.group(1)) if match else None


def fraction(text: str) -> float | None:
    """A decimal number with a point or a comma; None where it is none."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def shift_of(when: datetime) -> tuple[str, date]:
    """The shift that a moment lies in, and the day on which that shift began."""
    if when.hour < SHIFT_HOURS["early"]:
        return "night", when.date() - timedelta(days=1)
    for name in ("night", "late", "early"):
        if when.hour >= SHIFT_HOURS[name]:
            return name, when.date()
    raise AssertionError("every hour has a shift")


def shift_end(shift: str, day: date) -> datetime:
    """When a shift is over."""
    return datetime.combine(day, datetime.min.time()) + timedelta(hours=SHIFT_HOURS[shift] + 8)


def machine_name(text: str) -> str:
    """`cnc 01 ` and `CNC-01` are the same machine."""
    return text.strip().upper().replace(" ", "-")


def read_orders(path: Path, dirt: Counter) -> list[Order]:
    """The work orders, one per order number: the latest version of each."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    dirt["rows read"] = len(rows)
    latest: dict[str, dict[str, str]] = {}
    for row in rows:
        known = latest.get(row["order_no"])
        if known == row:
            dirt["exact duplicates dropped"] += 1
            continue
        if known is not None:
            dirt["older versions of an order dropped"] += 1
            if known["changed_at"] > row["changed_at"]:
                continue
        latest[row["order_no"]] = row
    line_of = {machine_name(row["machine"]): row["line"] for row in latest.values() if row["line"]}
    orders = (clean_order(row, line_of, dirt) for row in latest.values())
    return [order for order in orders if order is not None]


def clean_order(row: dict[str, str], line_of: dict[str, str], dirt: Counter) -> Order | None:
    """One row, repaired; None where what is missing cannot be known."""
    status = STATUS_WORDS.get(row["status"].strip().lower())
    if status is None:
        dirt["orders left out: unknown status"] += 1
        return None
    if status == "cancelled":
        dirt["orders left out: cancelled"] += 1
        return None
    machine = machine_name(row["machine"])
    if machine != row["machine"]:
        dirt["machine names normalised"] += 1
    line = row["line"]
    if not line:
        line = line_of.get(machine, "")
        dirt["lines filled in from the machine"] += 1
    if not line:
        dirt["orders left out: unknown machine"] += 1
        return None
    start = moment(row["actual_start"])
    if start is None:
        start = moment(row["planned_start"])
        dirt["starts taken from the plan"] += 1
    if start is None:
        dirt["orders left out: no start"] += 1
        return None
    end = moment(row["actual_end"])
    if end is not None and end < start:
        end += timedelta(days=1)
        dirt["ends moved past midnight"] += 1
    by_clock, day = shift_of(start)
    shift = SHIFT_WORDS.get(row["shift"].strip().lower())
    if shift is None:
        shift = by_clock
        dirt["shifts filled in from the start"] += 1
    elif shift != by_clock:
        dirt["shifts that contradict the start (kept)"] += 1
    good = pieces(row["qty_good"])
    if good is None:
        dirt["orders left out: good quantity missing"] += 1
        return None
    scrap = pieces(row["qty_scrap"])
    if scrap is None:
        scrap = 0
        dirt["scrap missing, counted as 0"] += 1
    elif scrap < 0:
        scrap = -scrap
        dirt["negative scrap turned round"] += 1
    cycle = fraction(row["ideal_cycle_s"])
    if cycle is None:
        dirt["orders without ideal cycle time (not in performance)"] += 1
    if status == "running":
        dirt["orders still running"] += 1
    reason = row["scrap_reason"].strip() or ("unknown" if scrap else "")
    return Order(row["order_no"], line, machine, row["product"], shift, day, start, end, good, scrap, reason, cycle, status)


def read_downtimes(path: Path, machines: set[str], dirt: Counter) -> list[Downtime]:
    """The stops of known machines."""
    events = []
    for raw in json.loads(path.read_text(encoding="utf-8")):
        machine = machine_name(raw["machine"])
        if machine not in machines:
            dirt["stops left out: unknown machine"] += 1
            continue
        start = moment(raw["start"] or "")
        end = moment(raw["end"] or "")
        if start is None:
            # Only the exchanged pair of a stop without end looks like this.
            dirt["stops left out: no start"] += 1
            continue
        if end is not None and end < start:
            start, end = end, start
            dirt["stops with start and end exchanged"] += 1
        shift, day = shift_of(start)
        over = shift_end(shift, day)
        if end is None:
            end = over
            dirt["open stops ended with the shift"] += 1
        elif end > over:
            end = over
            dirt["stops cut at the end of the shift"] += 1
        cause = (raw["cause"] or "").strip(" ?") or "unknown"
        events.append(Downtime(machine, start, end, cause, raw["planned"], shift, day))
    return events


def read_inspections(path: Path, orders: dict[str, Order], dirt: Counter) -> list[dict]:
    """The inspections of known orders, with `order` and a numeric or missing `cpk`."""
    found = []
    for raw in json.loads(path.read_text(encoding="utf-8")):
        order = orders.get(raw["orderNo"])
        if order is None:
            dirt["inspections of orders that are not counted"] += 1
            continue
        cpk = fraction(raw["cpk"]) if raw["cpk"] else None
        found.append({"order": order, "sample": raw["sampleSize"], "defects": raw["defects"], "cpk": cpk})
    return found
