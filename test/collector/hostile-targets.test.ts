import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { prometheusRanges } from "../../runbooks/adapters/collector/prometheus-ranges.ts";
import { collectPrometheus } from "../../runbooks/collect/prometheus.ts";
import { diagnosticsRedactor } from "../../runbooks/collect/redact.ts";
import type { Run } from "../../runbooks/types/run.ts";
import { HOSTILE_TEXTS } from "../fixtures/hostile-texts.ts";
import { startPrometheus, type Prometheus } from "../servers/prometheus.ts";

const QUERY = 'up{namespace="$namespace",pod=~"$name-.*",app="$app"} == 1';

let prometheus: Prometheus;
beforeAll(async () => {
  prometheus = await startPrometheus();
});
afterAll(async () => prometheus.stop());

/** What the step says of a target with such a name, were there one: `match` lets none of them through. */
async function notesAbout(name: string): Promise<readonly string[]> {
  const notes: string[] = [];
  const now = new Date();
  await collectPrometheus(
    { step: "prometheus", minutes: 5, queries: { health: QUERY } },
    {
      run: { trigger: { startsAt: now.toISOString() }, now } as Run,
      target: { cluster: "default", namespace: name, kind: "deployment", name, app: name },
      redact: diagnosticsRedactor([], []),
      objects: () => ({ workload: {}, pods: [], revisions: [], others: [], problems: [] }),
      signal: AbortSignal.timeout(20_000),
    },
    {
      diagnostics: undefined as never, // this step asks nothing of the cluster
      metrics: prometheusRanges({ url: prometheus.url }, silentLog),
      containers: undefined,
    },
    { keep: () => undefined, note: (problem) => notes.push(problem) },
  );
  return notes;
}

test.each(HOSTILE_TEXTS.map((text) => [text.slice(0, 40), text]))(
  "a name like %j is a name in PromQL and nothing else",
  async (_start, text) => {
    // Were it more, Prometheus would refuse the query, or answer with a series.
    expect(await notesAbout(text)).toEqual(["health: no series"]);
  },
);

test("a query that ends its string early would be seen here", async () => {
  const ranges = prometheusRanges({ url: prometheus.url }, silentLog);
  const now = new Date();
  const period = { from: new Date(now.getTime() - 60_000), to: now, stepSeconds: 15 };
  const query = QUERY.replace("$app", '"} or vector(1) or {a="');

  await expect(ranges.range({ query, ...period }, AbortSignal.timeout(20_000))).rejects.toThrow(
    /400|empty-compatible|parse error/,
  );
});
