import { Readable } from "node:stream";
import { sha256Hex } from "../../lib/canonical.ts";
import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import { failpoint } from "../../lib/failpoint.ts";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import type { BlobStore, StoredBlob } from "../../lib/storage.ts";
import { appendAudit } from "../audit.ts";
import { findRun, lookNow } from "../ledger.ts";
import type { Enqueue } from "../types/intake.ts";
import type { Run } from "../types/run.ts";
import { gather, type GatherDeps } from "./gather.ts";
import { HELD_BYTES_MAX, pack, packExcerpt, type Bundle } from "./pack.ts";
import {
  CollectionLost,
  keepBundle,
  LEASE_SECONDS,
  markUploaded,
  postpone,
  release,
  renew,
  takeCollection,
  type TakenCollection,
} from "./table.ts";

export interface CollectDeps extends GatherDeps {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly clock: Clock;
  readonly log: Log;
  /** Undefined: the database keeps what it can. */
  readonly store: BlobStore | undefined;
  /** Whether the store failed lately; shared by all collections of this process. */
  readonly rest: StoreRest;
  readonly linkSeconds: number;
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal;
  readonly uploadMs?: number;
}

const UPLOAD_MS = 30_000;
const GIVE_UP_SECONDS = 24 * 60 * 60;
const RETRY_SECONDS = 5;
const RETRY_SECONDS_MAX = 300;
/** A collection whose gathering kills its worker again and again is not tried for ever. */
const GATHER_ATTEMPTS_MAX = 5;

/**
 * Takes a collection as far as it goes now: gather → redact → pack → keep → upload → link. After a crash the next worker goes
 * on where this one was: it gathers again what was not kept, and uploads what was, to the same place.
 */
export async function collect(runId: string, deps: CollectDeps): Promise<void> {
  if (deps.stopping.aborted) return; // the next process finds it
  const taken = await takeCollection(runId, deps.database);
  if (taken === undefined) return; // done, or somebody is at it
  const heartbeat = setInterval(
    () => {
      renew(taken, deps.database).catch(() => undefined); // its own writes will say that it lost the lease
    },
    (LEASE_SECONDS * 1000) / 3,
  );
  try {
    await proceed(taken, deps);
  } catch (error) {
    if (!(error instanceof CollectionLost)) throw error;
    deps.log.warn("collection taken over by another worker", { run: runId });
  } finally {
    clearInterval(heartbeat);
    await release(taken, deps.database);
  }
}

async function proceed(taken: TakenCollection, deps: CollectDeps): Promise<void> {
  const { database, store } = deps;
  const run = await findRun(taken.runId, database);
  if (run === undefined) return;
  const bundle = taken.state === "waiting" ? await gathered(run, taken, deps) : heldOf(taken);
  if (bundle === undefined || store === undefined) return;
  if (deps.rest.isResting(deps.clock.now())) {
    await postpone(database, taken, { seconds: RETRY_SECONDS, problem: undefined });
    return;
  }
  await upload(run, taken, bundle, { ...deps, store });
}

/** @returns the whole bundle; undefined when it cannot be had at all */
async function gathered(
  run: Run,
  taken: TakenCollection,
  deps: CollectDeps,
): Promise<Bundle | undefined> {
  const { database, enqueue, store, stopping, log } = deps;
  if (taken.attempts > GATHER_ATTEMPTS_MAX) {
    const problem = `its gathering was cut off ${GATHER_ATTEMPTS_MAX} times`;
    await postpone(database, taken, { seconds: undefined, problem });
    return undefined;
  }
  const { reports: steps, files } = await gather(run, taken.steps, deps, stopping);
  if (stopping.aborted) return undefined; // half of it is worse than all of it a little later
  const all = { run: run.id, runbook: run.runbook, target: run.targetKey, at: run.now };
  const bundle = await pack({ ...all, steps, files });
  const held =
    bundle.bytes.length <= HELD_BYTES_MAX ? bundle : await packExcerpt({ ...all, steps, files });
  await database.inTransaction(async (tx) => {
    await keepBundle(tx, taken, held, store !== undefined);
    await lookNow(tx, run.id);
    await enqueue(tx, "runbooks-run", { runId: run.id });
  });
  const problems = steps.reduce((sum, { problems: found }) => sum + found.length, 0);
  log.info("diagnostics gathered", {
    run: run.id,
    files: files.length,
    bytes: bundle.bytes.length,
    problems,
  });
  return bundle;
}

function heldOf({ held, sha256, index }: TakenCollection): Bundle | undefined {
  if (held === undefined || sha256 === undefined || index === undefined) return undefined;
  return { bytes: held, sha256, index };
}

type UploadDeps = CollectDeps & { readonly store: BlobStore };

async function upload(
  run: Run,
  taken: TakenCollection,
  bundle: Bundle,
  deps: UploadDeps,
): Promise<void> {
  const { database, log, store, rest, clock } = deps;
  try {
    const stored = await put(taken, bundle, deps);
    const link = await linkTo(taken, deps);
    await database.inTransaction(async (tx) => {
      const { location, bytes, sha256 } = stored;
      await markUploaded(tx, taken, { location, bytes, sha256, index: bundle.index, link });
      const detail = { location, bytes, sha256, verified_by: stored.verifiedBy };
      await appendAudit(tx, run, [{ event: "artifact_stored", actor: "fettle", detail }]);
    });
  } catch (error) {
    if (error instanceof CollectionLost || deps.stopping.aborted) throw error;
    rest.failed(clock.now());
    const problem = messageOf(error);
    const over = taken.ageSeconds > GIVE_UP_SECONDS;
    const seconds = over
      ? undefined
      : Math.min(RETRY_SECONDS * 2 ** Math.min(taken.attempts - 1, 10), RETRY_SECONDS_MAX);
    await postpone(database, taken, { seconds, problem });
    log.warn(over ? "diagnostics not stored, given up" : "diagnostics not stored yet", {
      run: run.id,
      store: store.name,
      problem,
    });
  }
}

/** Bundle and index, at places that were fixed when the collection was ordered. */
async function put(
  { objectKey, runId }: TakenCollection,
  { bytes, sha256, index }: Bundle,
  { store, stopping, uploadMs = UPLOAD_MS }: UploadDeps,
): Promise<StoredBlob> {
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(uploadMs)]);
  const metadata = { run: runId, sha256 };
  const stored = await store.put(objectKey, Readable.from(inHalves(bytes)), {
    contentType: "application/gzip",
    signal,
    expected: { bytes: bytes.length, sha256 },
    metadata,
  });
  const text = Buffer.from(`${JSON.stringify(index, null, 2)}\n`);
  await store.put(objectKey.replace(/[^/]+$/, "index.json"), Readable.from([text]), {
    contentType: "application/json",
    signal,
    expected: { bytes: text.length, sha256: sha256Hex(text) },
    metadata,
  });
  return stored;
}

async function* inHalves(bytes: Buffer): AsyncGenerator<Buffer> {
  const middle = Math.floor(bytes.length / 2);
  yield bytes.subarray(0, middle);
  await failpoint("collect-uploading");
  yield bytes.subarray(middle);
}

/** A store, or its credentials, may not be able to: then there is only the place. */
async function linkTo({ objectKey, runId }: TakenCollection, deps: UploadDeps) {
  const { store, linkSeconds: seconds, log } = deps;
  if (seconds === 0) return undefined;
  try {
    const url = await store.link?.(objectKey, seconds);
    return url === undefined ? undefined : { url, seconds };
  } catch (error) {
    log.warn("no link to the diagnostics", { run: runId, problem: messageOf(error) });
    return undefined;
  }
}

/** After a failure the store is left alone for a while, so that a dead one holds up no worker that others wait for. */
export class StoreRest {
  #until = 0;

  isResting(now: Date): boolean {
    return now.getTime() < this.#until;
  }

  failed(now: Date): void {
    this.#until = now.getTime() + RETRY_SECONDS * 1000;
  }
}
