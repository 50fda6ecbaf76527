import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomBytes } from "node:crypto";
import { sha256Hex } from "../../lib/canonical.ts";
import { startS3, type FakeS3 } from "../fakes/s3.ts";
import { startTcpProxy, type TcpProxy } from "../fakes/tcp-proxy.ts";
import { givenCollector, unpack, type GivenCollector } from "./given-collector.ts";

const HELD_BYTES_MAX = 256 * 1024;

let s3: FakeS3;
let proxy: TcpProxy;
let given: GivenCollector;
const before = { ...process.env };

beforeAll(async () => {
  s3 = await startS3();
  proxy = await startTcpProxy({ host: "127.0.0.1", port: Number(new URL(s3.url).port) });
  // The SDK's own chain, as in a real deployment.
  process.env["AWS_ACCESS_KEY_ID"] = s3.key.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = s3.key.secretAccessKey;
  given = await givenCollector({
    env: () => ({
      COLLECTOR_S3_BUCKET: s3.bucket,
      COLLECTOR_S3_REGION: "eu-central-1",
      COLLECTOR_S3_ENDPOINT: `http://127.0.0.1:${proxy.port}`,
    }),
    collect: "[objects, {step: logs, max_bytes: 1000000, lines: 10000}]",
  });
});
afterAll(async () => {
  process.env = before;
  await given.stop();
  await proxy.stop();
  await s3.stop();
});

test("while the store is down the run goes on, the diagnostics are kept, and the store gets them once it is back", async () => {
  await proxy.setMode({ kind: "refuse" });

  const runId = await given.alert("checkout");
  await given.waitForState(runId, "approval_pending");
  const pending = await given.waitForCollection(runId, "pending");

  expect(pending.held).toHaveLength(pending.bytes ?? 0);
  expect(sha256Hex(pending.held ?? "")).toBe(pending.sha256);
  expect(await given.events(runId)).toEqual([
    "request",
    "collector_started",
    "collector_finished",
    "approval_pending",
  ]);

  await proxy.setMode({ kind: "pass" });
  await given.hurry();
  const stored = await given.waitForCollection(runId, "stored");

  expect(stored.held).toBeUndefined();
  expect(stored.problem).toBeUndefined();
  const keys = [...s3.objects.keys()].filter((key) => key.includes(runId));
  expect(keys.map((key) => key.split("/").at(-1))).toEqual(["diagnostics.tar.gz", "index.json"]);
  const content = s3.objects.get(keys[0] ?? "")?.content ?? Buffer.alloc(0);
  expect(sha256Hex(content)).toBe(stored.sha256);
  expect(stored.sha256).toBe(pending.sha256);
  expect(stored.location).toBe(`s3://${s3.bucket}/${keys[0] ?? ""}`);
  const link = await fetch(stored.link ?? "");
  expect([link.status, sha256Hex(Buffer.from(await link.arrayBuffer()))]).toEqual([
    200,
    stored.sha256,
  ]);
  expect((await given.events(runId)).filter((event) => event === "artifact_stored")).toHaveLength(
    1,
  );
});

test("a store that says nothing does not hold up the run, and of a large bundle the database keeps an excerpt", async () => {
  await proxy.setMode({ kind: "blackhole" });
  const noise = Array.from({ length: 8000 }, (_, at) => `${at} ${randomBytes(45).toString("hex")}`);
  for (const pod of given.kubernetes.podNames("shop").filter((name) => name.startsWith("web-")))
    given.kubernetes.setPodLog("shop", pod, `${noise.join("\n")}\nthe last line of ${pod}\n`);

  const runId = await given.alert("web");
  await given.waitForState(runId, "approval_pending");
  const { held, index, bytes } = await given.waitForCollection(runId, "pending");

  expect(await given.events(runId)).not.toContain("artifact_stored");
  expect(index?.cut).toBe(true);
  expect(bytes).toBeLessThanOrEqual(HELD_BYTES_MAX);
  expect(bytes).toBeGreaterThan(HELD_BYTES_MAX / 8);
  const files = await unpack(held ?? Buffer.alloc(0));
  const logs = [...files].filter(([name]) => name.startsWith("logs/"));
  expect(logs).toHaveLength(3);
  for (const [name, text] of logs) {
    expect(text).toMatch(/^\[cut: \d+ bytes in all\]\n/);
    expect(text.trimEnd().endsWith(`the last line of ${name.split("/")[1] ?? ""}`)).toBe(true);
  }
  expect(files.has("objects/summary.txt")).toBe(true);
  await proxy.setMode({ kind: "pass" });
});

test("the store gets all of a large bundle when it is there", async () => {
  const noise = Array.from({ length: 8000 }, () => randomBytes(45).toString("hex")).join("\n");
  for (const pod of given.kubernetes.podNames("shop").filter((name) => name.startsWith("api-")))
    given.kubernetes.setPodLog("shop", pod, `${noise}\n`);
  await given.database.query("UPDATE collections SET next_at = NULL");

  const runId = await given.alert("api");
  const { index, bytes, location } = await given.waitForCollection(runId, "stored");

  // Whether it came in one piece, or as an excerpt after the store had rested: it is what its index says.
  const [, key = ""] = location?.split(`${s3.bucket}/`) ?? [];
  const files = await unpack(s3.objects.get(key)?.content ?? Buffer.alloc(0));
  expect(files.size).toBe((index?.files.length ?? 0) + 1);
  expect(index?.cut).toBe((bytes ?? 0) <= HELD_BYTES_MAX);
});

test("without a store the database keeps the diagnostics", async () => {
  const kept = await givenCollector({ collect: "[objects, events]" });

  const runId = await kept.alert();
  await kept.waitForState(runId, "approval_pending");
  const { held, location, link } = await kept.waitForCollection(runId, "kept");
  await kept.stop();

  expect([location, link]).toEqual([undefined, undefined]);
  expect([...(await unpack(held ?? Buffer.alloc(0))).keys()].slice(0, 3)).toEqual([
    "index.json",
    "alert.json",
    "objects/summary.txt",
  ]);
});

test("who may not do anything and has nowhere to put it does not ask the cluster", async () => {
  const idle = await givenCollector({ env: () => ({ RUNBOOK_AUTOFIX_ENABLED: "false" }) });

  const runId = await idle.alert();
  await idle.waitForState(runId, "skipped_disabled");
  const asked = [...idle.kubernetes.requests];
  const { rowCount } = await idle.database.query("SELECT 1 FROM collections");
  await idle.stop();

  expect(asked).toEqual([]);
  expect(rowCount).toBe(0);
});

test("a cluster that says nothing costs a run no more than its 20 s", async () => {
  const hung = await givenCollector({ collect: "[objects, events, logs]" });
  hung.kubernetes.failNext({
    method: "GET",
    path: "/apis/apps/v1/namespaces/shop/deployments/checkout",
    hang: true,
  });

  const runId = await hung.alert();
  await hung.waitForState(runId, "approval_pending");
  const { index } = await hung.waitForCollection(runId, "kept");
  await hung.stop();

  expect(index?.steps.map(({ problems }) => problems.length)).toEqual([1, 1, 1]);
  expect(index?.files.map(({ name }) => name)).toEqual(["alert.json"]);
});
