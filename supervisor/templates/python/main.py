"""{{name}}: reports the scrap rate of a few work orders."""

import csv
import io
import json
from pathlib import Path

DATA = Path("/data")
ORDERS = """order,line,good,scrap
WO-1001,L1,480,12
WO-1002,L1,512,3
WO-1003,L2,1290,41
"""


def main() -> None:
    """Compute the scrap rate of each order and keep the result."""
    rows = list(csv.DictReader(io.StringIO(ORDERS)))
    report = {row["order"]: round(100 * int(row["scrap"]) / (int(row["good"]) + int(row["scrap"])), 2) for row in rows}
    (DATA / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    for order, rate in report.items():
        print(f"{order}: {rate} % scrap")
    print("{{id}} wrote /data/report.json")


if __name__ == "__main__":
    main()
