import { expect, test } from "@jest/globals";
import { Counter, Gauge, Histogram, Summary, type Registry } from "prom-client";
import { exposition } from "../../lib/exposition.ts";
import { createRegistry } from "../../lib/metrics.ts";

async function textOf(registry: Registry): Promise<string> {
  let text = "";
  for await (const piece of exposition(registry)) text += piece;
  return text;
}

/** A registry of every kind of metric, without those of the process, which change while one looks. */
function given(): Registry {
  const registry = createRegistry("detector");
  registry.clear();
  registry.setDefaultLabels({ service: "detector" });
  const registers = [registry];
  new Counter({ name: "taken_total", help: "a\nb", labelNames: ["who"], registers }).inc(
    { who: 'x"y\\z' },
    2,
  );
  new Histogram({ name: "took_seconds", help: "t", labelNames: ["who"], registers }).observe(
    { who: "x" },
    0.3,
  );
  new Summary({ name: "size", help: "s", registers }).observe(3);
  new Gauge({ name: "empty", help: "none", labelNames: ["who"], registers });
  return registry;
}

test("piece by piece it is the registry's own text", async () => {
  const registry = given();
  const gauge = new Gauge({ name: "many", help: "m", labelNames: ["n"], registers: [registry] });
  for (let n = 0; n < 5_000; n += 1) gauge.set({ n: String(n) }, n / 7);
  gauge.set({ n: "inf" }, Infinity);
  gauge.set({ n: "nan" }, NaN);

  expect(await textOf(registry)).toBe(await registry.metrics());
});

test.each([0, 1, 1_999, 2_000, 2_001, 4_000])(
  "%i lines of a gauge are all there",
  async (lines) => {
    const registry = given();
    const gauge = new Gauge({ name: "many", help: "m", labelNames: ["n"], registers: [registry] });
    for (let n = 0; n < lines; n += 1) gauge.set({ n: String(n) }, n);

    const text = await textOf(registry);

    expect(text).toBe(await registry.metrics());
    expect(text.match(/^many\{/gm) ?? []).toHaveLength(lines);
  },
);

test("no piece holds more than a page of lines", async () => {
  const registry = given();
  const gauge = new Gauge({ name: "many", help: "m", labelNames: ["n"], registers: [registry] });
  for (let n = 0; n < 5_000; n += 1) gauge.set({ n: String(n) }, n);

  const lines: number[] = [];
  for await (const piece of exposition(registry)) lines.push(piece.split("\n").length - 1);

  expect(Math.max(...lines)).toBe(2_000);
});

test("a registry without metrics is an empty line, as the registry says it", async () => {
  const registry = given();
  registry.clear();

  expect(await textOf(registry)).toBe(await registry.metrics());
});
