import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { writeWhole } from "./safe-file.ts";

/** The last file of a backup: a folder without it was never finished. */
const MANIFEST = "manifest.json";

const part = z.object({
  name: z.string().regex(/^[\w.-]+$/, "must be a plain file name"),
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Of the keys that wrapped its data key, by wrapper name. */
  keyIds: z.record(z.string(), z.string()).optional(),
});

const manifest = z.object({
  format: z.literal("fettle-backup-1"),
  id: z.uuid(),
  /** Whose backup it is: a folder may hold those of several. `system` is PostgreSQL's identifier of the cluster. */
  database: z.object({ system: z.string(), name: z.string() }),
  /** Just before pg_dump took its snapshot: what was committed before it is in the backup. */
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  sealed: z.array(z.enum(["pgp", "envelope"])),
  /** Wrapping keys that do not open every part: they did not answer, and the quorum did without. */
  keysMissing: z.array(z.string()),
  /** Of pg_dump's output. */
  dumpBytes: z.number().int().positive(),
  parts: z.array(part).min(1),
});

/** What a backup consists of. It stands in the clear, so it says nothing about the content but its size and origin. */
export type BackupManifest = z.infer<typeof manifest>;
export type BackupPart = z.infer<typeof part>;

/** @throws FileExists */
export async function writeManifest(folder: string, content: BackupManifest): Promise<void> {
  await writeWhole(join(folder, MANIFEST), String(process.pid), async (sink) => {
    await pipeline([`${JSON.stringify(content, null, 2)}\n`], sink);
  });
}

/** @throws Error when the folder holds no finished backup */
export async function readManifest(folder: string): Promise<BackupManifest> {
  const text = await readFile(join(folder, MANIFEST), "utf8").catch(() => undefined);
  if (text === undefined) throw new Error(`${folder}: no finished backup (it has no ${MANIFEST})`);
  const result = manifest.safeParse(JSON.parse(text));
  if (result.success) return result.data;
  throw new Error(`${join(folder, MANIFEST)}: ${z.prettifyError(result.error)}`);
}
