import { generateKeyPairSync } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { StopStack } from "../../lib/lifecycle.ts";
import { createRegistry } from "../../lib/metrics.ts";
import type { Database } from "../../lib/postgres.ts";
import { openAudit } from "../../runbooks/open-audit.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { recordingLog } from "../fakes/recording-log.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { connectOwner, givenRecord } from "./given.ts";

let testDatabase: TestDatabase;
let database: Database;
let folder: string;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  folder = await mkdtemp(join(tmpdir(), "open-audit-"));
  const owner = await connectOwner(testDatabase.url);
  await givenRecord(owner, 2, 2);
  await owner.end();
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
  await rm(folder, { recursive: true });
});

async function opened(auditSigningKeyFile: string | undefined) {
  const registry = createRegistry("runbooks");
  const log = recordingLog();
  const stack = new StopStack(log);
  const config = { auditSigningKeyFile, auditSigningKeyName: "fettle-audit" };
  await openAudit(config, { database, log, registry }, stack);
  return { registry, log, stack };
}

test("a service that starts looks through its record at once, and says so in its metrics", async () => {
  const before = Date.now() / 1000 - 60;
  const { registry, log, stack } = await opened(undefined);
  const value = async (name: string) =>
    (await registry.getSingleMetric(name)?.get())?.values[0]?.value ?? -1;

  await waitUntil("the record to be checked", async () => {
    return (await value("runbooks_audit_verified_rows")) === 6;
  });
  await stack.stop();

  expect(await value("runbooks_audit_problems")).toBe(0);
  expect(await value("runbooks_audit_verified_timestamp_seconds")).toBeGreaterThan(before);
  expect(await value("runbooks_audit_checkpoint_timestamp_seconds")).toBe(0);
  expect(log.text()).toContain("info the record is sound rows=6 chains=4");
  expect(log.text()).not.toContain("stop step failed");
});

test("a signing key that others may read, or that is none, keeps the service from starting", async () => {
  const open = join(folder, "open.pem");
  const { privateKey } = generateKeyPairSync("ed25519");
  await writeFile(open, privateKey.export({ type: "pkcs8", format: "pem" }));
  await chmod(open, 0o644);
  const none = join(folder, "none.pem");
  await writeFile(none, "no key", { mode: 0o600 });

  await expect(opened(open)).rejects.toThrow("others may read it; run chmod 600");
  await expect(opened(none)).rejects.toThrow("holds no readable PEM key");
  await expect(opened(join(folder, "missing.pem"))).rejects.toThrow("ENOENT");
});
