import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { expect, test } from "@jest/globals";
import { exportOnce, verifyFiles } from "../../exporter/main.ts";
import { Reading } from "../../exporter/reading.ts";
import type { ExportPlan, ExportSession, RowBatch } from "../../exporter/types.ts";
import { WorkerRows } from "../../exporter/worker-rows.ts";
import { silentLog } from "../../lib/log.ts";
import { createTestDatabase } from "../servers/postgres.ts";
import { connectTo, folderConfig, tempFolder } from "./given.ts";

const MIB = 1024 * 1024;
const HEADER =
  "id,xid,ts,run_id,event,actor,namespace,app,target,action,detail,correlation_id,trace_id\n";

type Chunk = RowBatch["csv"];

/** In memory of its own. */
const chunkOf = (text: string): Chunk => Buffer.from(new TextEncoder().encode(text).buffer);

/** One row; its detail is this large. */
function* rowOf(bytes: number, end = '",,\n'): Generator<Chunk> {
  yield chunkOf(HEADER);
  yield chunkOf('1,2,2025-01-01 00:00:00Z,,e,a,,,,,"');
  for (let given = 0; given < bytes; given += MIB / 16) yield chunkOf("x".repeat(MIB / 16));
  yield chunkOf(end);
}

const JOB = { partBytes: 256e6, formula: "escape", before: undefined } as const;

/** The plan needs no more for reading. */
const plan = JOB as unknown as ExportPlan;
const sessionOf = (batches: Readable): ExportSession =>
  ({
    read: () => ({ batches, countRows: async () => Promise.resolve(1) }),
  }) as unknown as ExportSession;

test("a row that is larger than all that is read ahead goes through, and is signed", async () => {
  const folder = await tempFolder();
  const database = await createTestDatabase();
  const client = await connectTo(database.url);
  try {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const [sign, publicKeyFile] = ["sign.pem", "sign.pub"].map((name) => join(folder.path, name));
    const pem = privateKey.export({ format: "pem", type: "pkcs8" });
    await writeFile(sign ?? "", pem, { mode: 0o600 });
    await writeFile(publicKeyFile ?? "", publicKey.export({ format: "pem", type: "spki" }));
    const config = await folderConfig(folder.path, database.url, {
      AUDIT_SIGNING_KEY_FILE: sign ?? "",
      AUDIT_ENCRYPTION: "off",
    });
    await client.query(
      "INSERT INTO runbooks_audit (event, actor, detail) SELECT 'x', 'a', jsonb_build_object('note', repeat('x', n)) FROM unnest(ARRAY[9, $1, 9]) n",
      [5 * MIB],
    );

    const { rows } = await exportOnce(config, silentLog);

    expect(rows).toBe(3);
    const out = [join(folder.path, "out")];
    const { problems, manifests } = await verifyFiles({
      files: out,
      publicKeyFile: publicKeyFile ?? "",
    });
    expect(problems).toEqual([]);
    expect(manifests).toMatchObject([{ rows: 3, rowsChecked: true }]);
  } finally {
    await client.end();
    await database.drop();
    await folder.remove();
  }
}, 60_000);

test("whoever stops an export does not wait for a row that does not end", async () => {
  const abort = new AbortController();
  async function* endless(): AsyncGenerator<RowBatch> {
    for (const csv of rowOf(5 * MIB, "")) yield { csv, ends: [] };
    abort.abort();
    await new Promise(() => undefined);
  }
  const source = Readable.from(endless());
  const deps = { wantsTree: true, signal: abort.signal };
  const reading = new Reading(sessionOf(source), plan, undefined, deps);

  await expect(buffer(reading.part())).rejects.toThrow("the export was stopped");

  expect(source.destroyed).toBe(true);
  await reading.close();
});

test("of what the thread has done nobody fetches, no more is held than is read ahead", async () => {
  let given = 0;
  async function* rows(): AsyncGenerator<Chunk> {
    yield chunkOf(HEADER);
    const row = `1,2,2025-01-01 00:00:00Z,,e,a,,,,,${"x".repeat(1000)},,\n`.repeat(64);
    for (; given < 32 * MIB; given += row.length) {
      yield chunkOf(row);
      // The thread gets its turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const reading = new WorkerRows(rows(), JOB);
  const part = reading.part();

  await part.next();
  for (let before = -1; before !== given;) {
    before = given;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }

  expect(given).toBeGreaterThan(MIB);
  expect(given).toBeLessThan(8 * MIB);
  await reading.close();
});

test("a thread that ends without a word is a failure, not a wait", async () => {
  const thread = new URL("data:text/javascript,process.exit(0)");
  const rows = new WorkerRows(new Readable({ read: () => undefined }), JOB, thread);

  await expect(buffer(rows.part())).rejects.toThrow("the row thread ended (0)");

  await rows.close();
});
