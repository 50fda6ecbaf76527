import type { Queryable } from "../../lib/postgres.ts";
import type { Collection, CollectionIndex } from "../types/collect.ts";

interface Row {
  readonly state: "waiting" | "gathered" | "uploaded" | "failed";
  readonly pending: boolean;
  readonly bytes: string | null;
  readonly sha256: string | null;
  readonly location: string | null;
  readonly link: string | null;
  readonly index: CollectionIndex | null;
  readonly problem: string | null;
}

/** The diagnostics of a run; undefined when none were ordered. */
export async function findCollection(
  runId: string,
  db: Queryable,
): Promise<Collection | undefined> {
  const { rows } = await db.query<Row>(
    `SELECT state, next_at IS NOT NULL AS pending, bytes, sha256, location, index, problem,
            CASE WHEN link_until > now() THEN link END AS link
       FROM collections WHERE run_id = $1`,
    [runId],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    state: stateOf(row),
    bytes: row.bytes === null ? undefined : Number(row.bytes),
    sha256: row.sha256 ?? undefined,
    location: row.location ?? undefined,
    link: row.link ?? undefined,
    index: row.index ?? undefined,
    problem: row.problem ?? undefined,
  };
}

function stateOf({ state, pending }: Row): Collection["state"] {
  if (state === "gathered") return pending ? "pending" : "kept";
  return state === "uploaded" ? "stored" : state;
}

/** The bundle as the database keeps it; undefined when it does not, or not any more. */
export async function findHeldBundle(runId: string, db: Queryable): Promise<Buffer | undefined> {
  const { rows } = await db.query<{ held: Buffer | null }>(
    "SELECT held FROM collections WHERE run_id = $1",
    [runId],
  );
  return rows[0]?.held ?? undefined;
}

/** One sentence for people: `12 files, 34 kB, in s3://bucket/…`. */
export function describeCollection({ state, bytes, location, index, problem }: Collection): string {
  const files = index === undefined ? "" : `${index.files.length} files`;
  const size = bytes === undefined ? "" : `${Math.ceil(bytes / 1000)} kB`;
  const cut = index?.cut === true ? "cut" : "";
  const failed = index?.steps.filter(({ problems }) => problems.length > 0).length ?? 0;
  const notes = failed === 0 ? "" : `${failed} of ${index?.steps.length ?? 0} steps with a note`;
  const where = {
    waiting: "being gathered",
    pending: "upload pending",
    kept: "kept in the database",
    stored: `in ${location ?? ""}`,
    failed: `not stored${problem === undefined ? "" : `: ${problem}`}`,
  }[state];
  return [files, size, cut, notes, where].filter((part) => part !== "").join(", ");
}
