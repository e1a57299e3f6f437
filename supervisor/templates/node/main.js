// {{name}}: reports the scrap rate of a few work orders.
'use strict';

const fs = require('node:fs');

const orders = [
  { order: 'WO-1001', line: 'L1', good: 480, scrap: 12 },
  { order: 'WO-1002', line: 'L1', good: 512, scrap: 3 },
  { order: 'WO-1003', line: 'L2', good: 1290, scrap: 41 },
];

const report = Object.fromEntries(
  orders.map(({ order, good, scrap }) => [order, Number(((100 * scrap) / (good + scrap)).toFixed(2))]),
);
fs.writeFileSync('/data/report.json', `${JSON.stringify(report, null, 2)}\n`);

for (const [order, rate] of Object.entries(report)) {
  console.log(`${order}: ${rate} % scrap`);
}
console.log('{{id}} wrote /data/report.json');
