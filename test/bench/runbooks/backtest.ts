// node --expose-gc test/bench/runbooks/backtest.ts [alerts]
// A policy against another one over a month of alerts, from a file: alerts a second on one core, and memory.
import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { actionNames } from "../../../runbooks/actions/index.ts";
import { alertFile } from "../../../runbooks/adapters/alert-history/file.ts";
import { backtestPolicy } from "../../../runbooks/backtest/replay.ts";
import { Simulation } from "../../../runbooks/backtest/simulate.ts";
import type { PastAlert, SimulatedWorld } from "../../../runbooks/backtest/types.ts";
import { parseCatalog } from "../../../runbooks/catalog/load.ts";
import { parsePolicy } from "../../../runbooks/policy/parse.ts";

const ALERTS = Number(process.argv[2] ?? 1_000_000);
const START = Date.parse("2026-10-01T00:00:00Z");
const DAYS_MS = 30 * 86_400_000;

function* alerts(): Generator<PastAlert> {
  let state = 1;
  // mulberry32
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const pick = (count: number) => Math.floor(random() * count);
  for (let number = 0; number < ALERTS; number += 1) {
    const at = START + Math.floor((DAYS_MS * number) / ALERTS);
    const app = `app-${pick(500)}`;
    const labels = {
      alertname: "AIOpsAnomalyDetected",
      metric: ["latency_p99", "success_rate", "cost"][pick(3)] ?? "",
      reason: "level_shift",
      namespace: `team-${pick(4)}`,
      app,
      pod: `${app}-7d9f8b6c5d-${String(number % 100_000).padStart(5, "0")}`,
      severity: "warning",
      job: "shop/http",
    };
    const resolvedAt = at + Math.floor(random() * random() * 3_600_000);
    yield { at, resolvedAt, labels, source: "bench", truncated: false };
  }
}

async function write(path: string): Promise<void> {
  const sink = createWriteStream(path);
  for (const { at, resolvedAt, labels } of alerts()) {
    const times = {
      at: new Date(at).toISOString(),
      resolvedAt: new Date(resolvedAt).toISOString(),
    };
    if (!sink.write(`${JSON.stringify({ ...times, labels })}\n`)) await once(sink, "drain");
  }
  sink.end();
  await finished(sink);
}

const world: SimulatedWorld = {
  catalog: parseCatalog(
    "runbooks: [{ id: anomaly, title: t, match: { labels: { alertname: AIOpsAnomalyDetected } } }]",
    "bench",
  ),
  cluster: "default",
  sourceNamespacesOf: () => null,
  switches: {
    enabled: true,
    dryRun: false,
    requireApproval: true,
    approvers: ["ana"],
    limits: { hourly: 3, daily: 10 },
    unhealthy: { percent: 30, recentTargets: 100_000 },
  },
  scope: { namespaces: null, sourceNamespaces: null },
  cooldownSeconds: 900,
  approvalSeconds: 900,
  verifySeconds: 300,
  approvalDelaySeconds: 300,
  actionDelaySeconds: 30,
  workloads: 100_000,
};
const policy = parsePolicy(
  "latency_p99=rollout_restart{mode=auto};success_rate:level_shift=rollout_restart",
  actionNames,
);
const against = parsePolicy("latency_p99=rollout_restart", actionNames);

function row(name: string, number: number, unit: string): void {
  process.stdout.write(
    `${name.padEnd(52)} ${Math.round(number).toLocaleString("en").padStart(12)} ${unit}\n`,
  );
}

async function measured<T>(work: () => T | Promise<T>): Promise<{ seconds: number; result: T }> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (user + system) / 1e6, result };
}

const folder = await mkdtemp(join(tmpdir(), "fettle-bench-"));
try {
  const path = join(folder, "alerts.jsonl");
  await write(path);
  const period = { from: START, to: START + DAYS_MS };
  const request = { policy, period, world, codeVersion: "bench" };
  const one = await measured(async () =>
    backtestPolicy({ ...request, against: undefined }, alertFile(path)),
  );
  const { maxRSS } = process.resourceUsage();
  const two = await measured(async () => backtestPolicy({ ...request, against }, alertFile(path)));
  const again = await backtestPolicy({ ...request, against }, alertFile(path));
  globalThis.gc?.();
  const { heapUsed } = process.memoryUsage();
  const alone = await measured(() => {
    const simulation = new Simulation(policy, world);
    for (const alert of alerts()) simulation.see(alert);
    return simulation.finish();
  });
  row("alerts", ALERTS, "");
  row("one policy, from a file", one.seconds, "s of CPU");
  row("one policy, from a file", ALERTS / one.seconds, "alerts/s");
  row("two policies, from a file", two.seconds, "s of CPU");
  row("two policies, from a file", ALERTS / two.seconds, "alerts/s");
  row("simulation alone (with making the alerts)", ALERTS / alone.seconds, "alerts/s");
  row("one policy: largest memory (RSS)", maxRSS / 1024, "MiB");
  row("heap after a collection", heapUsed / 1024 / 1024, "MiB");
  row("differing reports of the same input", two.result.sha256 === again.sha256 ? 0 : 1, "");
} finally {
  await rm(folder, { recursive: true });
}
