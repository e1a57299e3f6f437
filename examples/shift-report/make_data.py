#!/usr/bin/env python3
"""Write data/: six weeks of work orders, downtime events and inspections of a small plant.

Run once by hand; the result is checked in. The seed is fixed, so a second run writes the same bytes. The dirt is the
point: it is what exports of a real manufacturing execution system contain, and every kind has a counter in the report.
"""

import csv
import json
import random
from datetime import datetime, timedelta
from pathlib import Path

SEED = 20260907
FIRST_DAY = datetime(2026, 9, 7)
DAYS = 42
DATA = Path(__file__).resolve().parent / "data"

SHIFTS = {"early": 6, "late": 14, "night": 22}
SHIFT_NAMES = {
    "early": ["early", "early", "F", "Früh"],
    "late": ["late", "late", "S", "Spät"],
    "night": ["night", "night", "N", "Nacht"],
}
# line -> machines, products made there (material number, name, ideal seconds a piece)
LINES = {
    "L1": (["CNC-01", "CNC-02", "CNC-03"], [("10-4471", "Bearing seat 62 mm", 41.5), ("10-4480", "Flange DN50", 58.2)]),
    "L2": (["PRS-01", "PRS-02"], [("20-1103", "Bracket left", 6.4), ("20-1104", "Bracket right", 6.4), ("20-1150", "Cover plate", 9.75)]),
    "L3": (["INJ-01", "INJ-02", "INJ-03"], [("30-0071", "Housing upper", 22.0), ("30-0072", "Housing lower", 24.5)]),
    "L4": (["ASM-01", "ASM-02"], [("40-9001", "Valve unit A", 47.3), ("40-9002", "Valve unit B", 51.8)]),
}
OPERATORS = ["K. Brandt", "S. Öztürk", "M. Nowak", "J. Weiß", "A. Costa", "T. Lindqvist", "P. O'Neill", "R. Haas", "L. Dvořák", ""]
SCRAP_REASONS = {
    "L1": ["dimension", "surface", "tool break", "chatter marks"],
    "L2": ["burr", "crack", "misfeed", "dimension"],
    "L3": ["short shot", "flash", "sink mark", "colour"],
    "L4": ["leak test", "torque", "missing part"],
}
# cause, planned, share, typical minutes
CAUSES = [
    ("tool change", False, 22, 14), ("material missing", False, 14, 22), ("sensor fault", False, 12, 9),
    ("jam", False, 18, 7), ("hydraulics", False, 5, 48), ("waiting for quality release", False, 9, 18),
    ("setup", True, 14, 25), ("maintenance", True, 4, 75), ("cleaning", True, 8, 15),
]
STATUS = {
    "done": ["completed", "completed", "completed", "Completed", "FERTIG", "CNF"],
    "running": ["in progress", "REL"],
    "cancelled": ["cancelled", "STORNO"],
}

rng = random.Random(SEED)


def stamp(moment):
    """A timestamp in one of the two formats that the plant's terminals write."""
    if rng.random() < 0.18:
        return moment.strftime("%d.%m.%Y %H:%M")
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def moment(text):
    """The inverse of `stamp`."""
    return datetime.strptime(text, "%d.%m.%Y %H:%M" if "." in text else "%Y-%m-%d %H:%M:%S")


def pieces(count):
    """A count of pieces; above 999 sometimes with a German or English thousands separator or a useless fraction."""
    roll = rng.random()
    if count >= 1000 and roll < 0.12:
        return f"{count:,}".replace(",", ".")
    if count >= 1000 and roll < 0.18:
        return f"{count:,}"
    if roll < 0.21:
        return f"{count},00"
    if roll < 0.23:
        return f" {count} Stk"
    return str(count)


def decimal(value):
    """A fraction with a point or a comma."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return text.replace(".", ",") if rng.random() < 0.35 else text


def machine_name(name):
    """A machine name as typed at a terminal."""
    roll = rng.random()
    if roll < 0.03:
        return name.lower()
    if roll < 0.05:
        return name.replace("-", " ")
    return name + " " if roll < 0.06 else name


def orders_of(day, line, machine, shift, number):
    """The orders that one machine worked on in one shift."""
    begin = day + timedelta(hours=SHIFTS[shift])
    clock = begin + timedelta(minutes=rng.randint(0, 12))
    end_of_shift = begin + timedelta(hours=8)
    _, products = LINES[line]
    for _ in range(rng.choice([2, 3, 3, 3, 4, 4])):
        material, product, cycle = rng.choice(products)
        minutes = rng.randint(70, 190)
        if clock + timedelta(minutes=40) > end_of_shift:
            return
        planned_end = clock + timedelta(minutes=minutes)
        speed = rng.uniform(0.72, 0.98)
        total = max(1, int(minutes * 60 / cycle * speed))
        bad_shift = 1.6 if shift == "night" else 1.0
        scrap = min(total, int(total * max(0.0, rng.gauss(0.024, 0.014)) * bad_shift))
        if rng.random() < 0.02:
            scrap = int(total * rng.uniform(0.15, 0.4))
        actual_end = clock + timedelta(minutes=minutes + rng.randint(-8, 25))
        state = rng.choices(["done", "running", "cancelled"], [95, 2, 3])[0]
        good = total - scrap
        if state == "cancelled":
            good, scrap = 0, 0
        yield {
            "order_no": f"WO-{number():07d}",
            "line": line,
            "machine": machine_name(machine),
            "material": material,
            "product": product,
            "shift": rng.choice(SHIFT_NAMES[shift]),
            "planned_start": stamp(clock - timedelta(minutes=rng.randint(0, 10))),
            "planned_end": stamp(planned_end),
            "actual_start": stamp(clock),
            "actual_end": "" if state == "running" else stamp(actual_end),
            "qty_planned": pieces(int(total * rng.uniform(1.0, 1.12))),
            "qty_good": pieces(good),
            "qty_scrap": pieces(scrap),
            "scrap_reason": rng.choice(SCRAP_REASONS[line]) if scrap else "",
            "ideal_cycle_s": decimal(cycle),
            "status": rng.choice(STATUS[state]),
            "operator": rng.choice(OPERATORS),
            "changed_at": (actual_end + timedelta(minutes=rng.randint(1, 30))).strftime("%Y-%m-%dT%H:%M:%S"),
        }
        clock = actual_end + timedelta(minutes=rng.randint(3, 18))


def spoil(row):
    """Damage a row in one of the ways that exports do."""
    kind = rng.choices(
        ["no line", "no shift", "no scrap", "no good", "end on start day", "negative", "n/a", "no cycle", "no start"],
        [10, 8, 10, 3, 12, 3, 5, 5, 3],
    )[0]
    if kind == "no line":
        row["line"] = ""
    elif kind == "no shift":
        row["shift"] = ""
    elif kind == "no scrap":
        row["qty_scrap"] = ""
    elif kind == "no good":
        row["qty_good"] = ""
    elif kind == "end on start day" and row["actual_end"]:
        # A terminal that stores the time of day only: over midnight the end lies before the start.
        start, end = moment(row["actual_start"]), moment(row["actual_end"])
        row["actual_end"] = stamp(datetime.combine(start.date(), end.time()))
    elif kind == "negative":
        row["qty_scrap"] = "-" + row["qty_scrap"].strip()
    elif kind == "n/a":
        row["qty_scrap"] = rng.choice(["n/a", "-", "k.A."])
    elif kind == "no cycle":
        row["ideal_cycle_s"] = ""
    elif kind == "no start":
        row["actual_start"] = ""
    return row


def work_orders():
    """All rows of the export, dirt included."""
    last = 4410233
    rows = []

    def number():
        nonlocal last
        last += rng.randint(1, 4)
        return last

    for offset in range(DAYS):
        day = FIRST_DAY + timedelta(days=offset)
        weekend = day.weekday() >= 5
        for line, (machines, _) in LINES.items():
            for machine in machines:
                for shift in SHIFTS:
                    if weekend and (shift != "early" or rng.random() < 0.5):
                        continue
                    rows.extend(orders_of(day, line, machine, shift, number))
    clean = [dict(row) for row in rows]
    rows = [spoil(row) if rng.random() < 0.03 else row for row in rows]
    # The export was taken in overlapping pieces: exact duplicates, and later corrections of the same order.
    for row in rng.sample(rows, 40):
        rows.insert(rng.randrange(len(rows)), dict(row))
    for row in rng.sample(clean, 18):
        later = dict(row)
        later["qty_scrap"] = str(rng.randint(1, 40))
        later["changed_at"] = "2026-10-19T07:12:00"
        rows.append(later)
    return clean, rows


def downtime_events():
    """Stops of machines; some overlap, some were never closed, one machine is unknown."""
    events = []
    for offset in range(DAYS):
        day = FIRST_DAY + timedelta(days=offset)
        for line, (machines, _) in LINES.items():
            for machine in machines:
                for shift, hour in SHIFTS.items():
                    if day.weekday() >= 5 and shift != "early":
                        continue
                    begin = day + timedelta(hours=hour)
                    for _ in range(rng.choices([0, 1, 2, 3, 4], [20, 34, 26, 14, 6])[0]):
                        cause, planned, _, typical = rng.choices(CAUSES, [c[2] for c in CAUSES])[0]
                        start = begin + timedelta(minutes=rng.randint(5, 455))
                        length = max(1, int(rng.lognormvariate(0, 0.55) * typical))
                        end = start + timedelta(minutes=length)
                        event = {
                            "eventId": f"DT-{len(events) + 70311}",
                            "machine": machine,
                            "line": line,
                            "start": start.isoformat(),
                            "end": end.isoformat(),
                            "cause": cause,
                            "planned": planned,
                        }
                        roll = rng.random()
                        if roll < 0.008:
                            event["end"] = None
                        elif roll < 0.02:
                            event["cause"] = rng.choice(["", None, "???"])
                        elif roll < 0.024:
                            event["machine"] = "CNC-99"
                        elif roll < 0.028:
                            event["start"], event["end"] = event["end"], event["start"]
                        events.append(event)
    return events


def inspections(clean):
    """Random samples taken by quality assurance; the numbers in both decimal notations, as strings."""
    out = []
    for row in rng.sample(clean, 900):
        if not row["actual_end"]:
            continue
        line = row["line"]
        size = rng.choice([20, 32, 50])
        defects = {}
        for _ in range(rng.choices([0, 1, 2, 3], [70, 18, 8, 4])[0]):
            reason = rng.choice(SCRAP_REASONS[line])
            defects[reason] = defects.get(reason, 0) + 1
        out.append({
            "inspectionId": f"QI-{len(out) + 20551}",
            "orderNo": row["order_no"] if rng.random() > 0.01 else "WO-0000000",
            "sampleSize": size,
            "defects": [{"code": code, "count": count} for code, count in sorted(defects.items())],
            "cpk": None if rng.random() < 0.06 else decimal(rng.gauss(1.42, 0.22)),
            "inspector": rng.choice(["QA-1", "QA-2", "QA-3"]),
        })
    return out


def main():
    """Write the three files."""
    DATA.mkdir(exist_ok=True)
    clean, rows = work_orders()
    with (DATA / "work_orders.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=";", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    for name, content in [("downtime_events", downtime_events()), ("inspections", inspections(clean))]:
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in content)
        (DATA / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(f"{name}: {len(content)}")
    print(f"work orders: {len(rows)}")


if __name__ == "__main__":
    main()
