import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { attemptDelivery } from "../fakes/alertmanager-sender.ts";
import { fettle, startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { CANARIES } from "../fault/canaries.ts";
import { brokenInvariants } from "../fault/invariants.ts";
import { measure, metricOf, type Measured } from "../fault/measure.ts";
import { givenSurroundings, type Surroundings } from "../fault/surroundings.ts";

/** One more than a receiver takes. */
const TOO_MANY = 50_001;

let around: Surroundings;
let folder: string;
let receiver: FettleProcess;
let receiverBefore: Measured;

beforeAll(async () => {
  around = await givenSurroundings();
  folder = await mkdtemp(join(tmpdir(), "fettle-roles-"));
  // Whoever opens a pipe that nobody writes to stands still for ever: what was opened would be seen.
  const poison = join(folder, "kubeconfig");
  await promisify(execFile)("mkfifo", [poison]);
  receiver = await startFettle("runbooks --role receiver", "RUNBOOKS_PORT", {
    ...around.env,
    KUBECONFIG: poison,
    RUNBOOKS_ROLE: "executor", // the option goes first
  });
  receiverBefore = await measure(receiver.url);
});

afterAll(async () => {
  await receiver.stop();
  await around.stop();
  await rm(folder, { recursive: true });
});

async function send(url: string): Promise<number | undefined> {
  const frame = { version: "4", receiver: "fettle", status: "firing", alerts: [] };
  const { status } = await attemptDelivery(`${url}/alertmanager`, JSON.stringify(frame), {
    authorization: `Bearer ${CANARIES.token}`,
  });
  return status;
}

async function rolesSignedOn(): Promise<readonly string[]> {
  const { rows } = await around.database.query<{ role: string }>(
    "SELECT role FROM instances WHERE seen_at > now() - interval '30 seconds' ORDER BY role",
  );
  return rows.map(({ role }) => role);
}

test("a receiver alone stores alerts and leaves them, and refuses when too many are left", async () => {
  const { database } = around;
  expect(await rolesSignedOn()).toEqual(["receiver"]);
  await database.query(
    `INSERT INTO inbox (source, body_sha256, raw, content)
     SELECT 'flood', n::text, '', '{"alerts": []}' FROM generate_series(1, ${TOO_MANY}) n`,
  );
  await waitUntil("the refusal", async () => (await send(receiver.url)) === 503);
  const counted = await metricOf(receiver.url, "runbooks_inbox_waiting");

  await database.query("DELETE FROM inbox WHERE source = 'flood'");
  await waitUntil("the end of the refusal", async () => (await send(receiver.url)) === 202);

  expect(counted).toBeGreaterThanOrEqual(TOO_MANY);
  const { rows } = await database.query("SELECT processed_at FROM inbox");
  expect(rows).toEqual([{ processed_at: null }]);
});

test("the executor does what the receiver took, and the receiver never opens its kubeconfig", async () => {
  const { kubernetes, stateOf } = around;
  const executor = await startFettle("runbooks", "RUNBOOKS_PORT", {
    ...around.env,
    RUNBOOKS_ROLE: "executor",
    RUNBOOKS_HOST: "0.0.0.0", // the receiver's; an executor has no door there
  });
  try {
    const executorBefore = await measure(executor.url);
    await around.deliver(receiver.url, "firing");
    await waitUntil("the question", async () => (await stateOf()) === "approval_pending");
    expect(await rolesSignedOn()).toEqual(["executor", "receiver"]);
    expect(await around.approve(receiver.url)).toBe(200);
    await waitUntil("the restart", async () => kubernetes.mutations().length === 1);
    await around.deliver(receiver.url, "resolved");
    await waitUntil("the end", async () => (await stateOf()) === "succeeded");

    expect(await send(executor.url)).toBe(404);
    const elsewhere = executor.url.replace("127.0.0.1", "127.0.0.2");
    await expect(fetch(`${elsewhere}/health`)).rejects.toThrow("fetch failed");
    expect((await fetch(`${receiver.url}/health`)).status).toBe(200);
    const processes = [
      { url: receiver.url, before: receiverBefore },
      { url: executor.url, before: executorBefore },
    ];
    const output = () => receiver.output() + executor.output();
    expect(await brokenInvariants({ ...around, output, processes })).toEqual([]);
  } finally {
    await executor.stop();
  }
  expect(await rolesSignedOn()).toEqual(["receiver"]);
});

test("a role that there is not is a wrong use", async () => {
  const { code, stderr } = await fettle(["runbooks", "--role", "nobody"]);

  expect(code).toBe(2);
  expect(stderr).toContain("both, receiver, executor");
});
