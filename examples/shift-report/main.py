"""Compute the shift report of the exports in data/ and keep it in /data."""

import sys
from collections import Counter
from pathlib import Path

from shiftreport import clean, figures, output

HERE = Path(__file__).resolve().parent


def main() -> int:
    """The report, start to end."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "/data")
    dirt: Counter = Counter()
    orders = clean.read_orders(HERE / "data" / "work_orders.csv", dirt)
    stops = clean.read_downtimes(HERE / "data" / "downtime_events.json", {order.machine for order in orders}, dirt)
    inspections = clean.read_inspections(HERE / "data" / "inspections.json", {order.number: order for order in orders}, dirt)
    cells = figures.compute(orders, stops, inspections)
    days = [order.day for order in orders]
    report = output.build(cells, dirt, (min(days), max(days)))
    daily = output.write_all(folder, report, cells)
    runs = output.count_run(folder, report)

    print(f"Shift report {report['periodFrom']} to {report['periodTo']}: {len(orders)} orders, {len(stops)} stops, "
          f"{len(inspections)} inspections")
    print("\n".join(output.table(report["lines"])))
    repaired = sum(count for name, count in dirt.items() if name != "rows read")
    print(f"{repaired} oddities in the data were repaired or left out; report.md names them.")
    print(f"Written to {folder}: report.json, report.md, daily.csv ({daily} rows). Run {runs} with this storage.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
