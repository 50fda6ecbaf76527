import type { KeyObject } from "node:crypto";
import { sha256Hex } from "../../lib/canonical.ts";
import { MerkleTree } from "../../lib/merkle.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { signNote } from "../../lib/signed-note.ts";
import { eachPage, PAGE_ROWS } from "./pages.ts";
import { findChainStart } from "./rows-before.ts";

/** A root over what was written since the checkpoint before it, and what it says. */
export interface Checkpoint {
  readonly number: string;
  readonly at: Date;
  readonly last_id: string;
  readonly rows: string;
  readonly root: string;
  /** A signed note where a key was configured, else only its text. */
  readonly note: string;
}

export interface Signer {
  readonly keyName: string;
  readonly privateKey: KeyObject;
}

/** Up to where every row is there for good: whoever could have drawn a lower id has ended. */
export interface Settled {
  readonly lastId: string;
}

const ROWS_MAX = 100_000;

/** What was in flight at some moment. */
export interface Moment {
  readonly xmax: string;
  readonly lastId: string | null;
}

/**
 * Where the record stood, and who was still writing then. An id is drawn before its transaction ends, so lower ids than
 * the highest one may still appear, until all who wrote at this moment have ended.
 */
export async function lookAtRecord(db: Queryable): Promise<Moment & { readonly xmin: string }> {
  const { rows } = await db.query<Moment & { xmin: string }>(
    `SELECT pg_snapshot_xmin(s)::text AS xmin, pg_snapshot_xmax(s)::text AS xmax,
            (SELECT max(id)::text FROM runbooks_audit) AS "lastId"
       FROM pg_current_snapshot() s`,
  );
  const [now] = rows;
  if (now === undefined) throw new Error("the database has no snapshot");
  return now;
}

/** What was written before `then`, if all who wrote then have ended by `now`. */
export function settledSince(
  then: Moment | undefined,
  now: { readonly xmin: string },
): Settled | undefined {
  const lastId = then?.lastId ?? null;
  if (then === undefined || lastId === null) return undefined;
  return BigInt(now.xmin) < BigInt(then.xmax) ? undefined : { lastId };
}

/**
 * Writes the next checkpoint over the rows that are settled; undefined when there are none, or the last one is younger than
 * `minutes`. Any number of replicas may call it.
 */
export async function makeCheckpoint(
  {
    settled,
    minutes,
    signer,
  }: {
    readonly settled: Settled;
    readonly minutes: number;
    readonly signer: Signer | undefined;
  },
  database: Database,
): Promise<Checkpoint | undefined> {
  return database.inTransaction(async (tx) => {
    await tx.query("SELECT pg_advisory_xact_lock(hashtext('fettle audit checkpoint'))");
    const { rows } = await tx.query<Checkpoint & { young: boolean }>(
      `SELECT c.number::text, c.last_id::text, c.note, c.at > now() - make_interval(mins => $1) AS young
         FROM audit_checkpoints c ORDER BY c.number DESC LIMIT 1`,
      [minutes],
    );
    const [before] = rows;
    if (before?.young === true) return undefined;
    const start = await findChainStart(tx);
    if (start === undefined) throw new Error("the note of where the chain began is missing");
    const previous = before === undefined ? start.sha256 : sha256Hex(before.note);
    const range = { after: before?.last_id ?? null, upTo: settled.lastId, limit: ROWS_MAX };
    const tree = await treeOf(previous, range, tx);
    if (tree.rows === 0 || tree.lastId === undefined) return undefined;
    const facts = {
      number: String(BigInt(before?.number ?? 0) + 1n),
      rows: String(tree.rows),
      last_id: tree.lastId,
      root: tree.root,
      previous,
    };
    return insertCheckpoint(tx, facts, signer);
  });
}

interface Facts extends Pick<Checkpoint, "number" | "rows" | "last_id" | "root"> {
  /** SHA-256 of the note before; of the first one, of the rows from before the chain. */
  readonly previous: string;
}

/** What a checkpoint says, and what is signed. */
export function checkpointText({ number, rows, last_id: lastId, root, previous }: Facts): string {
  return `fettle audit checkpoint\n${number}\n${rows} rows up to id ${lastId}\n${root}\nafter ${previous}\n`;
}

async function insertCheckpoint(
  tx: Queryable,
  facts: Facts,
  signer: Signer | undefined,
): Promise<Checkpoint> {
  const text = checkpointText(facts);
  const note = signer === undefined ? text : signNote(text, signer.keyName, signer.privateKey);
  const { rows } = await tx.query<Checkpoint>(
    `INSERT INTO audit_checkpoints (number, last_id, rows, root, note) VALUES ($1, $2, $3, $4, $5)
     RETURNING number::text, at, last_id::text, rows::text, root, note`,
    [facts.number, facts.last_id, facts.rows, facts.root, note],
  );
  const [made] = rows;
  if (made === undefined) throw new Error("the checkpoint returned no row");
  return made;
}

/** The tree over the note before and the rows' hashes, in the order of their ids. */
export async function treeOf(
  previous: string,
  range: { readonly after: string | null; readonly upTo: string; readonly limit?: number },
  db: Queryable,
): Promise<{ readonly rows: number; readonly lastId: string | undefined; readonly root: string }> {
  const tree = new MerkleTree();
  tree.append(Buffer.from(previous, "hex"));
  let lastId: string | undefined;
  const most = range.limit ?? Number.POSITIVE_INFINITY;
  await eachPage<{ id: string; hash: string }>(
    async (last) => {
      const left = Math.min(PAGE_ROWS, most - (tree.size - 1));
      if (left <= 0) return [];
      const { rows } = await db.query<{ id: string; hash: string }>(
        // A bare `id` in ORDER BY would be the text of the first column.
        `SELECT a.id::text, a.hash FROM runbooks_audit a
          WHERE a.hash IS NOT NULL AND ($1::bigint IS NULL OR a.id > $1) AND a.id <= $2
          ORDER BY a.id LIMIT ${left}`,
        [last?.id ?? range.after, range.upTo],
      );
      return rows;
    },
    ({ id, hash }) => {
      tree.append(Buffer.from(hash, "hex"));
      lastId = id;
    },
    {},
  );
  return { rows: tree.size - 1, lastId, root: tree.root().toString("base64") };
}
