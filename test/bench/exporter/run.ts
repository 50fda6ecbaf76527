import { exportOnce, readExporterConfig } from "../../../exporter/main.ts";
import { silentLog } from "../../../lib/log.ts";

// One export in a process of its own, so that its memory and processor time are its own.
const start = performance.now();
const { rows } = await exportOnce(readExporterConfig(process.env), silentLog);
const { user, system } = process.cpuUsage();
const figures = {
  rows,
  seconds: (performance.now() - start) / 1000,
  cpuSeconds: (user + system) / 1e6,
  rssMegabytes: process.resourceUsage().maxRSS / 1024,
};
process.stdout.write(`${JSON.stringify(figures)}\n`);
