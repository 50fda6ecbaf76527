import { expect, test } from "@jest/globals";
import { askDownTargets } from "../../detector/down-targets.ts";
import { connectPrometheus } from "../../detector/adapters/prometheus.ts";
import { QueryError } from "../../detector/faults.ts";
import type { MetricSource } from "../../detector/types/source.ts";
import { silentLog } from "../../lib/log.ts";
import { startMetricsTarget } from "../fakes/metrics-target.ts";
import { startPrometheus } from "../servers/prometheus.ts";
import { PATIENCE_MS } from "../fakes/fettle.ts";

function given(answer: () => ReturnType<MetricSource["query"]>) {
  const asked: unknown[] = [];
  const source: MetricSource = {
    query: async (expr, range) => {
      asked.push([expr, range]);
      return answer();
    },
  };
  const deps = { source, step: 60_000, signal: new AbortController().signal, log: silentLog };
  return { asked, isDown: async () => askDownTargets(120_000, deps) };
}

const target = (job: string, instance: string) => ({ labels: { job, instance } });

test("a target that Prometheus cannot scrape is down, others are not", async () => {
  const { asked, isDown } = given(async () => [
    {
      labels: { __name__: "up", job: "shop", instance: "a:1" },
      points: [{ t: 120_000, value: 0 }],
    },
  ]);

  const down = await isDown();

  expect(asked).toEqual([["up == 0", { from: 120_000, to: 120_000, step: 60_000 }]]);
  expect(down(target("shop", "a:1"))).toBe(true);
  expect(down(target("shop", "b:1"))).toBe(false);
  expect(down({ labels: { job: "shop" } })).toBe(false);
});

test("when Prometheus does not say, no target is called down", async () => {
  const { isDown } = given(async () => Promise.reject(new QueryError("unavailable", "no")));

  expect((await isDown())(target("shop", "a:1"))).toBe(false);
});

test("a real Prometheus says so of a target that does not answer", async () => {
  const alive = await startMetricsTarget(1);
  const prometheus = await startPrometheus({
    scrape: [
      { job: "alive", target: alive.target },
      { job: "dead", target: "127.0.0.1:9" },
    ],
  });
  try {
    await prometheus.waitForTarget("alive");
    const source = connectPrometheus({ url: prometheus.url });
    const deps = { source, step: 1_000, signal: new AbortController().signal, log: silentLog };
    const ask = async () => askDownTargets(Math.floor(Date.now() / 1000) * 1000, deps);
    const deadline = performance.now() + PATIENCE_MS;
    let down = await ask();
    while (!down(target("dead", "127.0.0.1:9")) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      down = await ask();
    }

    expect(down(target("dead", "127.0.0.1:9"))).toBe(true);
    expect(down(target("alive", alive.target))).toBe(false);
  } finally {
    await prometheus.stop();
    await alive.stop();
  }
});
