import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Clock } from "../lib/clock.ts";
import { hasCode } from "../lib/error.ts";
import { PREFIX, removeOldBackups, type Removed } from "./backup-keep.ts";
import { writeManifest, type BackupManifest, type BackupPart } from "./backup-manifest.ts";
import { sealEnvelope } from "./envelope.ts";
import { createMeter } from "./meter.ts";
import type { Sealing } from "./outputs.ts";
import { writeWhole } from "./safe-file.ts";
import { wrapNewKey } from "./wrap-key.ts";

/** pg_dump at work. */
export interface Dump {
  readonly stdout: Readable;
  /** Resolves when it has ended well. @throws with its own words when not */
  readonly ended: Promise<void>;
  /** Ends it, whatever it has still to say. */
  readonly abandon: () => void;
}

export interface BackupDeps {
  readonly identify: () => Promise<BackupManifest["database"]>;
  readonly dump: () => Dump;
  readonly sealing: Pick<Sealing, "recipients" | "encryptTo" | "wrappers" | "wrapRules">;
  /** A part holds at most so many bytes of pg_dump's output. */
  readonly partBytes: number;
  readonly clock: Clock;
  readonly onBytes: (bytes: number) => void;
}

export interface BackupResult extends BackupManifest, Removed {
  readonly folder: string;
  /** Why wrapping keys are missing that did not have to answer. */
  readonly failures: readonly string[];
}

const OWNER_ONLY = 0o700;

/**
 * Dumps the database in PostgreSQL's custom format into a new folder of `parent`, sealed on the way: plaintext never rests on
 * disk. The manifest comes last, so a backup that was interrupted is none. One that is finished stays, also when older ones
 * cannot be taken away: the result says so.
 *
 * @param keep finished backups that stay, this one included; all when undefined
 * @throws with pg_dump's words, when it fails; what was written is taken away again
 */
export async function takeBackup(
  parent: string,
  keep: number | undefined,
  deps: BackupDeps,
): Promise<BackupResult> {
  const startedAt = deps.clock.now().toISOString();
  const folder = join(parent, `${PREFIX}${startedAt.replaceAll(/[-:]|\.\d+/g, "")}`);
  await mkdir(parent, { recursive: true, mode: OWNER_ONLY });
  await mkdir(folder, { mode: OWNER_ONLY }); // fails when it is there: nothing is overwritten
  const { manifest, failures } = await fill(folder, startedAt, deps).catch(
    async (error: unknown) => {
      await rm(folder, { recursive: true, force: true });
      throw error;
    },
  );
  return { ...manifest, folder, failures, ...(await removeOldBackups(folder, manifest, keep)) };
}

async function fill(folder: string, startedAt: string, deps: BackupDeps) {
  const database = await deps.identify();
  const { id, parts, dumpBytes, failures } = await writeParts(folder, deps);
  const manifest = {
    format: "fettle-backup-1" as const,
    id,
    database,
    startedAt,
    finishedAt: deps.clock.now().toISOString(),
    sealed: sealedBy(deps),
    keysMissing: keysMissing(parts, deps),
    dumpBytes,
    parts,
  };
  await writeManifest(folder, manifest);
  return { manifest, failures };
}

function keysMissing(parts: readonly BackupPart[], { sealing }: BackupDeps): string[] {
  const names = sealing.wrappers.map(({ name }) => name);
  return names.filter((name) => !parts.every(({ keyIds = {} }) => name in keyIds));
}

function sealedBy({ sealing }: BackupDeps): BackupManifest["sealed"] {
  return [
    ...(sealing.recipients.length > 0 ? (["pgp"] as const) : []),
    ...(sealing.wrappers.length > 0 ? (["envelope"] as const) : []),
  ];
}

async function writeParts(folder: string, deps: BackupDeps) {
  const dump = deps.dump();
  dump.ended.catch(() => undefined); // awaited below; it may fail while a part is still written
  try {
    const written = await cutParts(folder, dump.stdout, deps);
    await dump.ended;
    if (written.parts.length === 0) throw new Error("pg_dump wrote nothing");
    return written;
  } catch (error) {
    dump.abandon(); // else it would wait for a reader for ever, its snapshot open
    const words = dump.ended.catch((reason: unknown) => {
      // Where its output broke off, its own words are the reason.
      if (hasCode(error, "ERR_STREAM_PREMATURE_CLOSE")) throw reason;
    });
    await words;
    throw error;
  }
}

async function cutParts(folder: string, stdout: Readable, deps: BackupDeps) {
  const id = randomUUID();
  const source = new Pieces(stdout);
  const parts: BackupPart[] = [];
  const failures = new Set<string>();
  let dumpBytes = 0;
  while (await source.hasMore()) {
    const plain = createMeter(undefined, (bytes) => {
      deps.onBytes(dumpBytes + bytes);
    });
    const name = partName(parts.length + 1, deps);
    const seal = await sealFor(name, { id, ...deps });
    const pieces = [source.take(deps.partBytes), plain.stream, ...seal.layers];
    parts.push({ ...(await writePart(folder, name, pieces)), keyIds: seal.keyIds });
    for (const failure of seal.failures) failures.add(failure);
    dumpBytes += plain.bytes();
  }
  return { id, parts, dumpBytes, failures: [...failures] };
}

/** The names tell the reader which layers there are, as those of exports do. */
function partName(number: number, { sealing }: BackupDeps): string {
  const inner = `database.dump.${String(number).padStart(4, "0")}${sealing.recipients.length > 0 ? ".gpg" : ""}`;
  return sealing.wrappers.length > 0 ? `${inner}.envelope.json` : inner;
}

async function writePart(
  folder: string,
  name: string,
  content: readonly unknown[],
): Promise<BackupPart> {
  const sealed = createMeter();
  await writeWhole(join(folder, name), String(process.pid), async (sink) => {
    // The types of the array form know streams only; Node takes async generators there as well.
    await pipeline([...content, sealed.stream, sink] as readonly NodeJS.ReadWriteStream[]);
  });
  return { name, bytes: sealed.bytes(), sha256: sealed.sha256() };
}

interface Seal {
  readonly layers: readonly unknown[];
  readonly keyIds: Readonly<Record<string, string>> | undefined;
  readonly failures: readonly string[];
}

async function sealFor(
  name: string,
  { sealing, id, clock }: BackupDeps & { readonly id: string },
): Promise<Seal> {
  const { recipients, encryptTo, wrappers, wrapRules } = sealing;
  const pgp = recipients.length > 0 ? [encryptTo(recipients, undefined)] : [];
  if (wrappers.length === 0) return { layers: pgp, keyIds: undefined, failures: [] };
  const { dek, failures, ...keys } = await wrapNewKey(wrappers, wrapRules);
  const originalFilename = name.replace(/\.envelope\.json$/, "");
  const head = { originalFilename, exportId: id, ...keys, created: clock.now() };
  return { layers: [...pgp, sealEnvelope(head, dek)], keyIds: keys.keyIds, failures };
}

/** Hands a stream out in pieces of a given size, without keeping more than one chunk. */
class Pieces {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer | undefined;

  constructor(stream: Readable) {
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async hasMore(): Promise<boolean> {
    while (this.#rest === undefined || this.#rest.length === 0) {
      const { done, value } = (await this.#chunks.next()) as IteratorResult<Buffer, undefined>;
      if (done === true) return false;
      this.#rest = value;
    }
    return true;
  }

  async *take(bytes: number): AsyncGenerator<Buffer> {
    let left = bytes;
    while (left > 0 && (await this.hasMore())) {
      const chunk = this.#rest ?? Buffer.alloc(0);
      this.#rest = chunk.subarray(left);
      const piece = chunk.subarray(0, left);
      left -= piece.length;
      yield piece;
    }
  }
}
