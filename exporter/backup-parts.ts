import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Clock } from "../lib/clock.ts";
import { sealUnder } from "../lib/envelope/seal-under.ts";
import { hasCode } from "../lib/error.ts";
import { createMeter } from "../lib/meter.ts";
import { Pieces } from "../lib/pieces.ts";
import { partPrefix, type BackupManifest, type BackupPart } from "./backup-manifest.ts";
import type { Sealing } from "./outputs.ts";
import { writeWhole } from "./safe-file.ts";
import { workName } from "./work-folder.ts";

/** pg_dump at work. */
export interface Dump {
  readonly stdout: Readable;
  /** Resolves when it has ended well. @throws with its own words when not */
  readonly ended: Promise<void>;
  /** Ends it, whatever it has still to say. */
  readonly abandon: () => void;
}

export interface DumpDeps {
  readonly dump: () => Dump;
  readonly sealing: Pick<Sealing, "recipients" | "encryptTo" | "wrappers" | "wrapRules">;
  /** A part holds at most so many bytes of pg_dump's output; one at a time lies in the work folder. */
  readonly partBytes: number;
  readonly workFolder: string;
  readonly clock: Clock;
  readonly onBytes: (bytes: number) => void;
}

/** A file that lies in the work folder. */
export interface SealedPart {
  readonly path: string;
  readonly part: BackupPart;
}

type Backup = Pick<BackupManifest, "id" | "name">;
type HandOver = (sealed: SealedPart) => Promise<void>;

/**
 * Cuts pg_dump's output into sealed parts, each of which is handed over before the next one is begun.
 *
 * @throws with pg_dump's words, when it fails; what `handOver` throws
 */
export async function writeParts(backup: Backup, deps: DumpDeps, handOver: HandOver) {
  const dump = deps.dump();
  dump.ended.catch(() => undefined); // awaited below; it may fail while a part is still written
  try {
    const written = await cutParts(backup, dump.stdout, deps, handOver);
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

async function cutParts(backup: Backup, stdout: Readable, deps: DumpDeps, handOver: HandOver) {
  const source = new Pieces(stdout);
  const parts: BackupPart[] = [];
  const failures = new Set<string>();
  let dumpBytes = 0;
  while (await source.hasMore()) {
    const plain = createMeter(undefined, (bytes) => {
      deps.onBytes(dumpBytes + bytes);
    });
    const name = partName(backup.name, parts.length + 1, deps);
    const seal = await sealFor(name, backup.id, deps);
    const path = join(deps.workFolder, workName(backup.id, name));
    const file = await writePart(path, [source.take(deps.partBytes), plain.stream, ...seal.layers]);
    const part = { name, ...file, keyIds: seal.keyIds };
    await handOver({ path, part });
    parts.push(part);
    for (const failure of seal.failures) failures.add(failure);
    dumpBytes += plain.bytes();
  }
  return { parts, dumpBytes, failures: [...failures] };
}

/** The names tell the reader which layers there are, as those of exports do. */
function partName(backup: string, number: number, { sealing }: DumpDeps): string {
  const inner = `${partPrefix(backup)}${String(number).padStart(4, "0")}${sealing.recipients.length > 0 ? ".gpg" : ""}`;
  return sealing.wrappers.length > 0 ? `${inner}.envelope.json` : inner;
}

async function writePart(
  path: string,
  content: readonly unknown[],
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const sealed = createMeter();
  await writeWhole(path, String(process.pid), async (sink) => {
    // The types of the array form know streams only; Node takes async generators there as well.
    await pipeline([...content, sealed.stream, sink] as readonly NodeJS.ReadWriteStream[]);
  });
  return { bytes: sealed.bytes(), sha256: sealed.sha256() };
}

interface Seal {
  readonly layers: readonly unknown[];
  readonly keyIds: Readonly<Record<string, string>> | undefined;
  readonly failures: readonly string[];
}

async function sealFor(
  name: string,
  exportId: string,
  { sealing, clock }: DumpDeps,
): Promise<Seal> {
  const { recipients, encryptTo, wrappers } = sealing;
  const pgp = recipients.length > 0 ? [encryptTo(recipients, undefined)] : [];
  if (wrappers.length === 0) return { layers: pgp, keyIds: undefined, failures: [] };
  const originalFilename = name.replace(/\.envelope\.json$/, "");
  const head = { originalFilename, exportId, created: clock.now() };
  const { layer, keyIds, failures } = await sealUnder(sealing, head);
  return { layers: [...pgp, layer], keyIds, failures };
}
