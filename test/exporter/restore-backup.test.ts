import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { BackupManifest } from "../../exporter/backup-manifest.ts";
import { restoreBackup } from "../../exporter/restore-backup.ts";

let folder: string;
let manifest: BackupManifest;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "restore-"));
  await writeFile(join(folder, "one.envelope.json"), "sealed");
  const sha256 = createHash("sha256").update("sealed").digest("hex");
  const at = new Date(0).toISOString();
  manifest = {
    format: "fettle-backup-manifest/1",
    name: "backup-19700101T000000Z",
    id: randomUUID(),
    database: { system: "1", name: "fettle" },
    startedAt: at,
    finishedAt: at,
    sealed: ["envelope"],
    keysMissing: [],
    dumpBytes: 9,
    parts: [{ name: "one.envelope.json", bytes: 6, sha256 }],
  };
});
afterAll(async () => rm(folder, { recursive: true }));

test.each([
  { seal: "good", told: "abcdefghi" },
  { seal: "bad", told: "abcdef" },
])(
  "the end of a dump is told only when its seal is $seal: pg_restore commits once it has it",
  async ({ seal, told }) => {
    let received = "";
    const stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        received += chunk.toString();
        done();
      },
    });
    const deps = {
      countRelations: async () => Promise.resolve(0),
      openPlaintext: async () => Promise.resolve(plaintext(seal)),
      restore: () => ({ stdin, ended: Promise.resolve(), abandon: () => undefined }),
    };

    const outcome = await restoreBackup({ folder, manifest }, deps).then(
      () => "good",
      (error: unknown) => String(error),
    );

    expect({ received, outcome }).toEqual({
      received: told,
      outcome: seal === "good" ? "good" : "Error: the seal is broken",
    });
  },
);

async function* plaintext(seal: string): AsyncGenerator<Uint8Array> {
  for (const piece of ["abc", "def", "ghi", ""]) {
    await Promise.resolve();
    yield Buffer.from(piece);
  }
  await new Promise((resolve) => setImmediate(resolve)); // what was yielded is written by now
  if (seal === "bad") throw new Error("the seal is broken");
}
