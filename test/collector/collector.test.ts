import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { sha256Hex } from "../../lib/canonical.ts";
import { composeRun } from "../../runbooks/notify/compose.ts";
import { slackMessage } from "../../runbooks/notify/slack-blocks.ts";
import type { CollectionIndex } from "../../runbooks/types/collect.ts";
import { startFakePrometheus, type FakePrometheus } from "../fakes/prometheus.ts";
import { givenCollector, unpack, type GivenCollector } from "./given-collector.ts";

let prometheus: FakePrometheus;
let given: GivenCollector;

beforeAll(async () => {
  prometheus = await startFakePrometheus((expression) =>
    expression.includes("nothing")
      ? []
      : [
          { labels: { pod: "checkout-1" }, value: (ms) => Math.sin(ms / 60_000) },
          { labels: { pod: "checkout-2" }, value: (ms) => (ms % 7 === 0 ? undefined : 2) },
        ],
  );
  given = await givenCollector({
    env: (folder) => ({ COLLECTOR_DIR: join(folder, "store"), PROM_URL: prometheus.url }),
    collect: `[objects, events, {step: logs, lines: 3}, rollout_history,
      {step: prometheus, minutes: 5, queries: {latency: 'p99{namespace="$namespace",pod=~"$name-.*"}', none: nothing}},
      container_logs]`,
  });
});
afterAll(async () => {
  await given.stop();
  await prometheus.stop();
});

function expectContents(
  files: ReadonlyMap<string, string>,
  index: Pick<CollectionIndex, "files">,
): void {
  const found = index.files.map(({ name }) => {
    const text = files.get(name) ?? "";
    return { name, bytes: Buffer.byteLength(text), sha256: sha256Hex(text) };
  });
  expect(index.files.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 }))).toEqual(found);
}

test("what people want to know of a target is gathered, packed, stored, and told", async () => {
  const { kubernetes, folder, database } = given;
  const pods = kubernetes.podNames("shop").filter((name) => name.startsWith("checkout-"));
  const [crashing = "", calm = ""] = pods;
  kubernetes.setPodLog("shop", crashing, "starting\nout of memory\n", { previous: true });
  kubernetes.setPodLog("shop", crashing, "one\ntwo\nthree\nfour\nfive\n");
  kubernetes.setPodLog("shop", calm, "all is well\n");
  kubernetes.crashPod("shop", crashing, 137);
  for (const [name, about] of [
    ["ours", crashing],
    ["theirs", "web-123"],
  ])
    kubernetes.put("events", {
      metadata: { namespace: "shop", name },
      involvedObject: { kind: "Pod", namespace: "shop", name: about },
      type: "Warning",
      reason: "BackOff",
      message: `Back-off restarting failed container of ${about ?? ""}`,
      lastTimestamp: "2026-11-21T03:00:00Z",
      count: 4,
    });

  const runId = await given.alert();
  await given.waitForState(runId, "approval_pending");
  const collection = await given.waitForCollection(runId, "stored");

  expect(await given.events(runId)).toEqual(
    expect.arrayContaining([
      "request",
      "collector_started",
      "collector_finished",
      "approval_pending",
      "artifact_stored",
    ]),
  );
  const { location: path = "" } = collection;
  expect(path.startsWith(join(folder, "store", "runs"))).toBe(true);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const bundle = await readFile(path);
  expect(sha256Hex(bundle)).toBe(collection.sha256);
  expect(collection.held).toBeUndefined();

  const files = await unpack(bundle);
  const index = JSON.parse(files.get("index.json") ?? "") as CollectionIndex;
  expect(index).toEqual(collection.index);
  const folderOf = join(path, "..");
  expect(await readdir(folderOf)).toEqual(["diagnostics.tar.gz", "index.json"]);
  expect(JSON.parse(await readFile(join(folderOf, "index.json"), "utf8"))).toEqual(index);
  expect([...files.keys()].slice(1)).toEqual(index.files.map(({ name }) => name));
  expectContents(files, index);

  const textOf = (name: string) => files.get(name) ?? "";
  expect(textOf("objects/summary.txt")).toContain(`pod ${crashing}: Running, NOT READY`);
  expect(textOf("objects/summary.txt")).toContain(
    "1 restarts; now waiting reason CrashLoopBackOff",
  );
  expect(textOf("objects/summary.txt")).toContain("exitCode 137");
  expect(textOf("objects/deployment-checkout.yaml")).toContain(
    "image: registry.example/checkout:1.0.0",
  );
  expect(textOf("events/events.txt")).toBe(
    `2026-11-21T03:00:00.000Z Warning BackOff Pod/${crashing} (4 times): Back-off restarting failed container of ${crashing}\n`,
  );
  expect(textOf(`logs/${crashing}/checkout.log`)).toBe("three\nfour\nfive\n");
  expect(textOf(`logs/${crashing}/checkout.previous.log`)).toBe("starting\nout of memory\n");
  expect(textOf(`logs/${calm}/checkout.log`)).toBe("all is well\n");
  expect(textOf("rollout/history.txt")).toContain("checkout=registry.example/checkout:1.0.0");
  expect(textOf("metrics/latency.svg")).toContain("<title>latency</title>");
  const latency = JSON.parse(textOf("metrics/latency.json")) as {
    query: string;
    series: { points: [number, number][] }[];
  };
  expect(latency.query).toBe('p99{namespace="shop",pod=~"checkout-.*"}');
  expect(latency.series).toHaveLength(2);
  expect(latency.series[0]?.points.length).toBeGreaterThan(10);
  expect(index.steps.map(({ step, problems }) => [step, problems])).toEqual([
    ["objects", []],
    ["events", []],
    ["logs", []],
    ["rollout_history", []],
    ["prometheus", ["none: no series"]],
    ["container_logs", ["the target is no container of the hypervisor, and the step names none"]],
  ]);

  const news = await composeRun(runId, database);
  expect(news?.collection?.location).toBe(path);
  if (news === undefined) return;
  const links = { run: () => undefined, approval: () => undefined, queue: () => undefined };
  const { blocks } = slackMessage(news, { links, buttonValue: undefined });
  expect(JSON.stringify(blocks)).toContain(`*Diagnostics*\\n${index.files.length} files`);
});

test("nothing of a Secret is ever asked for, nor what is in a ConfigMap kept", async () => {
  const { kubernetes } = given;
  expect(kubernetes.requests.length).toBeGreaterThan(0);
  expect(kubernetes.requests.filter(({ path }) => path.includes("/secrets"))).toEqual([]);
  expect(kubernetes.mutations()).toEqual([]);
});

test("a step that fails leaves a note, and the run goes on", async () => {
  const { kubernetes } = given;
  const [pod = ""] = kubernetes.podNames("shop").filter((name) => name.startsWith("api-"));
  kubernetes.failNext({
    method: "GET",
    path: `/api/v1/namespaces/shop/pods/${pod}/log`,
    status: 403,
  });
  kubernetes.failNext({ method: "GET", path: "/api/v1/namespaces/shop/events", status: 503 });
  prometheus.faults.push({ status: 503 }, { status: 503 });

  const runId = await given.alert("api");
  await given.waitForState(runId, "approval_pending");
  const { index } = await given.waitForCollection(runId, "stored");

  const problems = new Map(index?.steps.map(({ step, problems: found }) => [step, found]));
  expect(problems.get("objects")).toEqual([]);
  expect(problems.get("events")).toEqual([
    expect.stringContaining("cannot list the events of shop"),
  ]);
  expect(problems.get("logs")).toEqual([
    expect.stringContaining(`cannot read the log of ${pod}/api`),
  ]);
  expect(problems.get("prometheus")).toEqual([
    expect.stringContaining("Prometheus answered 503"),
    expect.stringContaining("Prometheus answered 503"),
  ]);
  expect(index?.files.some(({ step }) => step === "logs")).toBe(true);
});
