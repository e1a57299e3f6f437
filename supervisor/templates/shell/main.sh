#!/usr/bin/env bash
# {{name}}: reports the scrap rate of a few work orders.
set -euo pipefail

orders='WO-1001 L1 480 12
WO-1002 L1 512 3
WO-1003 L2 1290 41'

while read -r order _ good scrap; do
  rate=$((scrap * 10000 / (good + scrap)))
  printf '%s: %d.%02d %% scrap\n' "$order" $((rate / 100)) $((rate % 100))
done <<<"$orders" | tee /data/report.txt
echo "{{id}} wrote /data/report.txt"
