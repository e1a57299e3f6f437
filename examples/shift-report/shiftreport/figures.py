"""The figures: quantities, scrap, downtime and OEE per line and shift.

OEE = availability x performance x quality, as in ISO 22400-2:
- availability = (planned time - unplanned downtime) / planned time; planned time of a machine in a shift is 480 minutes
  less 30 minutes break less planned stops, and counts only where the machine had an order;
- performance = ideal cycle time x pieces made / time run; time run is taken from orders that have both ends and a cycle;
- quality = good pieces / pieces made.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from .clean import Downtime, Order

SHIFT_MINUTES = 480
BREAK_MINUTES = 30
SHIFT_ORDER = {"early": 0, "late": 1, "night": 2}


@dataclass
class Cell:
    """What one line did in one shift: of one day, or summed over all days."""

    orders: int = 0
    good: int = 0
    scrap: int = 0
    planned_min: float = 0.0
    planned_stop_min: float = 0.0
    stop_min: float = 0.0
    ideal_min: float = 0.0
    busy_min: float = 0.0
    scrap_reasons: Counter = field(default_factory=Counter)
    stop_causes: Counter = field(default_factory=Counter)
    sampled: int = 0
    sample_defects: int = 0
    cpks: list = field(default_factory=list)

    def figures(self) -> dict:
        """The derived figures; None where a divisor is zero."""
        made = self.good + self.scrap
        available = ratio(self.planned_min - self.stop_min, self.planned_min)
        performance = ratio(self.ideal_min, self.busy_min)
        quality = ratio(self.good, made)
        parts = (available, performance, quality)
        oee = None if None in parts else available * performance * quality
        return {
            "orders": self.orders,
            "goodQty": self.good,
            "scrapQty": self.scrap,
            "scrapRatePct": percent(ratio(self.scrap, made)),
            "plannedMin": round(self.planned_min),
            "plannedStopMin": round(self.planned_stop_min),
            "downtimeMin": round(self.stop_min),
            "availabilityPct": percent(available),
            "performancePct": percent(performance),
            "qualityPct": percent(quality),
            "oeePct": percent(oee),
            "sampleDefectRatePct": percent(ratio(self.sample_defects, self.sampled)),
            "meanCpk": round(sum(self.cpks) / len(self.cpks), 2) if self.cpks else None,
            "topScrapReasons": [{"reason": key, "qty": count} for key, count in self.scrap_reasons.most_common(3)],
            "topDowntimeCauses": [{"cause": key, "minutes": round(time)} for key, time in self.stop_causes.most_common(3)],
        }


def ratio(part: float, whole: float) -> float | None:
    """A quotient, or None."""
    return part / whole if whole else None


def percent(value: float | None) -> float | None:
    """In percent, one digit."""
    return None if value is None else round(value * 100, 1)


def union_minutes(spans: list[tuple[datetime, datetime]]) -> float:
    """The time that the spans cover together; overlaps count once."""
    total = 0.0
    reach = None
    for start, end in sorted(spans):
        if reach is not None and start < reach:
            start = reach
        if end > start:
            total += (end - start).total_seconds() / 60
            reach = end
    return total


def compute(orders: list[Order], stops: list[Downtime], inspections: list[dict]) -> dict[str, dict]:
    """Cells by (line, shift) under `total`, and by (day, line, shift) under `daily`."""
    daily: dict[tuple, Cell] = defaultdict(Cell)
    total: dict[tuple, Cell] = defaultdict(Cell)
    line_of = {order.machine: order.line for order in orders}
    worked = {(order.machine, order.day, order.shift) for order in orders}

    def cells(line: str, shift: str, day) -> tuple[Cell, Cell]:
        return daily[(day, line, shift)], total[(line, shift)]

    for order in orders:
        for cell in cells(order.line, order.shift, order.day):
            cell.orders += 1
            cell.good += order.good
            cell.scrap += order.scrap
            if order.scrap:
                cell.scrap_reasons[order.scrap_reason] += order.scrap
            if order.end is not None and order.cycle_s is not None:
                cell.busy_min += (order.end - order.start).total_seconds() / 60
                cell.ideal_min += order.cycle_s * (order.good + order.scrap) / 60

    by_shift: dict[tuple, list[Downtime]] = defaultdict(list)
    for stop in stops:
        by_shift[(stop.machine, stop.day, stop.shift)].append(stop)
    for machine, day, shift in sorted(worked):
        here = by_shift[(machine, day, shift)]
        planned = union_minutes([(stop.start, stop.end) for stop in here if stop.planned])
        unplanned = union_minutes([(stop.start, stop.end) for stop in here]) - planned
        for cell in cells(line_of[machine], shift, day):
            cell.planned_min += max(0.0, SHIFT_MINUTES - BREAK_MINUTES - planned)
            cell.planned_stop_min += planned
            cell.stop_min += unplanned
            for stop in here:
                if not stop.planned:
                    cell.stop_causes[stop.cause] += (stop.end - stop.start).total_seconds() / 60

    for sample in inspections:
        order = sample["order"]
        for cell in cells(order.line, order.shift, order.day):
            cell.sampled += sample["sample"]
            cell.sample_defects += sum(defect["count"] for defect in sample["defects"])
            if sample["cpk"] is not None:
                cell.cpks.append(sample["cpk"])
    return {"daily": daily, "total": total}


def in_order(cells: dict[tuple, Cell]) -> list[tuple[tuple, Cell]]:
    """Sorted by day and line, with the shifts as they follow each other."""
    return sorted(cells.items(), key=lambda item: (*item[0][:-1], SHIFT_ORDER[item[0][-1]]))
