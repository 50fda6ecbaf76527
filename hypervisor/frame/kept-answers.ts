import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { AnyAnswer } from "./answer.ts";

/** A request that may be sent again with the same `Idempotency-Key`. */
export interface KeyedRequest {
  readonly principal: string;
  readonly key: string;
  /** SHA-256 of by what the caller came in, method, address, and body without its secrets. */
  readonly fingerprint: string;
  /** The answer is not kept. */
  readonly secret: boolean;
}

/** Longer answers are not kept: who asks again is told that it was done. */
const ANSWER_LENGTH_MAX = 64 * 1024;
/** How long a key is remembered. */
export const KEPT_HOURS = 24;
/** What runs longer has lost its process. */
const WORK_MINUTES_MAX = 10;

interface Row {
  readonly fingerprint: string;
  readonly state: "running" | "answered" | "unknown";
  readonly status: number | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly body: string | null;
}

/**
 * The answer that was given to this key before; undefined for a new one.
 *
 * @throws HttpProblem 422 when the key belongs to another request, 409 when its outcome is not, or not yet, known
 */
export async function findKept(
  database: Queryable,
  { principal, key, fingerprint }: KeyedRequest,
): Promise<AnyAnswer | undefined> {
  const { rows } = await database.query<Row>(
    `SELECT fingerprint, status, headers, body,
            CASE WHEN state = 'running' AND created_at < now() - make_interval(mins => ${WORK_MINUTES_MAX})
                 THEN 'unknown' ELSE state END AS state
       FROM hypervisor_requests
      WHERE principal = $1 AND key = $2 AND created_at > now() - make_interval(hours => $3)`,
    [principal, key, KEPT_HOURS],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  if (row.fingerprint !== fingerprint)
    throw new HttpProblem(422, "Key already used", "Idempotency-Key belongs to another request.");
  if (row.state !== "answered" || row.status === null) throw notKnown(row.state);
  const body = row.body === null ? undefined : (JSON.parse(row.body) as unknown);
  return { status: row.status, headers: row.headers ?? {}, body };
}

function notKnown(state: Row["state"]): HttpProblem {
  const detail =
    state === "running"
      ? "A request with this Idempotency-Key is under way."
      : state === "unknown"
        ? "A request with this Idempotency-Key was begun, and how it ended is not known: look at the object, then use a new key."
        : "A request with this Idempotency-Key was done; its answer is not kept.";
  return new HttpProblem(
    409,
    "Conflict",
    detail,
    state === "running" ? { "Retry-After": "2" } : {},
  );
}

/** A kept answer says that it is one. */
export function replayed(kept: AnyAnswer): AnyAnswer {
  return { ...kept, headers: { ...kept.headers, "idempotency-replayed": "true" } };
}

/** Takes the key before the work. @throws TakenError when another request has it */
export async function takeKey(
  tx: Queryable,
  { principal, key, fingerprint }: KeyedRequest,
): Promise<void> {
  // What is older than the time that keys are kept counts as gone, swept or not.
  const { rowCount } = await tx.query(
    `INSERT INTO hypervisor_requests AS old (principal, key, fingerprint, state)
     VALUES ($1, $2, $3, 'running')
     ON CONFLICT (principal, key) DO UPDATE
        SET fingerprint = excluded.fingerprint, state = 'running', status = NULL, headers = NULL,
            body = NULL, created_at = now()
      WHERE old.created_at <= now() - make_interval(hours => $4)`,
    [principal, key, fingerprint, KEPT_HOURS],
  );
  if (rowCount === 0) throw new TakenError("the key is taken");
}

/** Keeps the answer in the transaction of the change, or of its row. */
export async function keepAnswer(
  tx: Queryable,
  { principal, key, secret }: KeyedRequest,
  answer: AnyAnswer,
): Promise<void> {
  const body = answer.body === undefined ? null : JSON.stringify(answer.body);
  const kept = !secret && (body?.length ?? 0) <= ANSWER_LENGTH_MAX;
  await tx.query(
    `UPDATE hypervisor_requests SET state = 'answered', status = $3, headers = $4, body = $5
      WHERE principal = $1 AND key = $2`,
    [
      principal,
      key,
      kept ? answer.status : null,
      JSON.stringify(kept ? (answer.headers ?? {}) : {}),
      kept ? body : null,
    ],
  );
}

/** The work was refused, so nothing was done: the same key may try again. */
export async function freeKey(tx: Queryable, { principal, key }: KeyedRequest): Promise<void> {
  await tx.query("DELETE FROM hypervisor_requests WHERE principal = $1 AND key = $2", [
    principal,
    key,
  ]);
}

/** Nobody knows what became of the work: the key stays taken. */
export async function leaveUnknown(tx: Queryable, { principal, key }: KeyedRequest): Promise<void> {
  await tx.query(
    "UPDATE hypervisor_requests SET state = 'unknown' WHERE principal = $1 AND key = $2",
    [principal, key],
  );
}

/** Somebody else has this key since a moment ago; {@link findKept} says what to answer. */
export class TakenError extends Error {
  override readonly name = "TakenError";
}
