import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { readDetectorConfig, shape } from "../../detector/config.ts";
import { ConfigError } from "../../lib/config.ts";

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readDetectorConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test("everything has a default: the metrics are the contract's, the address is this machine's", () => {
  const config = readDetectorConfig({});

  expect(config).toMatchObject({
    promUrl: "http://127.0.0.1:9090",
    intervalSeconds: 60,
    port: 9464,
    host: "127.0.0.1",
  });
  expect(config.metrics.map(({ name }) => name)).toEqual([
    "success_rate",
    "latency_p99",
    "therapy_success_rate",
    "cluster_cost",
  ]);
});

test.each([
  [
    "a=up;b=sum(rate(x[5m]))",
    [
      ["a", "up"],
      ["b", "sum(rate(x[5m]))"],
    ],
  ],
  [
    'a=up{x=~"1;2"} == 1; b = up ;',
    [
      ["a", 'up{x=~"1;2"} == 1'],
      ["b", "up"],
    ],
  ],
  [
    '{"a": "up", "b.c": "down"}',
    [
      ["a", "up"],
      ["b.c", "down"],
    ],
  ],
])("AIOPS_METRICS %s is read", (text, metrics) => {
  const read = readDetectorConfig({ AIOPS_METRICS: text }).metrics;

  expect(read.map(({ name, expr }) => [name, expr])).toEqual(metrics);
});

test.each([
  ["up", 'entry "up" is not name=PromQL'],
  ["a=up;a=down", 'entry "a" stands there twice'],
  ["1a=up", 'entry "1a" has a name'],
  ["a=", 'entry "a" has no PromQL'],
  [";", "at least one metric"],
  ['{"a": 5}', 'entry "a" must be a PromQL text'],
  ['{"a": "up", "a": "down"}', "Map keys must be unique"],
  ['{"a": "up"', "AIOPS_METRICS: "],
])("AIOPS_METRICS %s is refused, and the entry is named", (text, message) => {
  const problems = problemsOf({ AIOPS_METRICS: text });

  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain("AIOPS_METRICS: ");
  expect(problems[0]).toContain(message);
});

test("a file of metrics is read, and its problems carry its name", async () => {
  const folder = await mkdtemp(join(tmpdir(), "metrics-"));
  const path = join(folder, "metrics.yaml");
  await writeFile(path, "latency: |\n  histogram_quantile(0.99, x)\nrate: up\n");
  const good = readDetectorConfig({ AIOPS_METRICS_FILE: path }).metrics;
  await writeFile(path, "- a\n- b\n");

  expect(good).toEqual([
    { name: "latency", expr: "histogram_quantile(0.99, x)" },
    { name: "rate", expr: "up" },
  ]);
  expect(problemsOf({ AIOPS_METRICS_FILE: path })[0]).toContain(
    `AIOPS_METRICS_FILE: ${path}: must be a mapping`,
  );
  expect(problemsOf({ AIOPS_METRICS_FILE: path, AIOPS_METRICS: "a=up" })[0]).toContain(
    "together with AIOPS_METRICS",
  );
  await rm(folder, { recursive: true });
  expect(problemsOf({ AIOPS_METRICS_FILE: path })[0]).toContain("ENOENT");
});

test.each([
  ["metrics:\n  a: up\n", 'entry "metrics" must be a PromQL text'],
  ["a: up\nb: [up, down]\n", 'entry "b" must be a PromQL text'],
  ["a: up\nb: 5\n", 'entry "b" must be a PromQL text'],
  ["a: up\na: down\n", "Map keys must be unique"],
  ["a b: up\n", 'entry "a b" has a name'],
  ["a: ''\n", 'entry "a" has no PromQL'],
  ["", "must be a mapping of name to PromQL"],
  ["{}", "at least one metric"],
  ["a: up\n  b: down\n", "AIOPS_METRICS_FILE: "],
])("a metrics file with %j is refused, and the entry is named", async (content, message) => {
  const folder = await mkdtemp(join(tmpdir(), "metrics-"));
  const path = join(folder, "metrics.yaml");
  await writeFile(path, content);

  const problems = problemsOf({ AIOPS_METRICS_FILE: path });
  await rm(folder, { recursive: true });

  expect(problems).toEqual([expect.stringContaining(`AIOPS_METRICS_FILE: ${path}: `)]);
  expect(problems[0]).toContain(message);
});

test("numbers below, above and beside their range are refused, each by its variable's name", () => {
  const numbers = Object.values(shape).filter(({ fallback }) => typeof fallback === "number");
  expect(numbers.length).toBeGreaterThan(10);
  for (const { name } of numbers) {
    for (const wrong of ["-1", "1e9", "1000000000", "ten", "0x10", " 5", "NaN", "Infinity"]) {
      expect(problemsOf({ [name]: wrong })).toEqual([
        expect.stringMatching(new RegExp(`^${name}: must be an? (integer|number) from .* got `)),
      ]);
    }
  }
});

test("all problems are reported at once, and no secret is shown", () => {
  const problems = problemsOf({
    PROM_URL: "nowhere",
    PROM_TOKEN: "hunter2",
    AIOPS_INTERVAL_SECONDS: "-5",
    AIOPS_WARMUP_POINTS: "10",
    DETECTOR_PORT: "http",
  });

  expect(problems.map((problem) => problem.split(":")[0])).toEqual([
    "PROM_URL",
    "AIOPS_INTERVAL_SECONDS",
    "AIOPS_WARMUP_POINTS",
    "DETECTOR_PORT",
  ]);
  expect(problems.join()).not.toContain("hunter2");
  expect(JSON.stringify(readDetectorConfig({ PROM_TOKEN: "hunter2" }))).not.toContain("hunter2");
});

test("an API token that could be guessed is refused, without being shown", () => {
  expect(problemsOf({ DETECTOR_API_TOKEN: "hunter2hunter2" })).toEqual([
    "DETECTOR_API_TOKEN: must be at least 32 bytes",
  ]);
});
