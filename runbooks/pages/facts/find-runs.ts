import { z } from "zod";
import type { Queryable } from "../../../lib/postgres.ts";
import { ACTIVE_STATES, FINAL_STATES } from "../../types/run.ts";
import {
  cursorField,
  limitField,
  momentField,
  optionalOf,
  ROWS_SHOWN,
  textField,
} from "../read-query.ts";

/** A run as lists show it. */
export interface RunListed {
  readonly id: string;
  readonly state: string;
  readonly namespace: string;
  readonly app: string;
  readonly target: string;
  readonly runbook: string;
  readonly alertname: string;
  readonly plan: string | null;
  readonly outcome: string | null;
  readonly createdAt: Date;
  readonly finishedAt: Date | null;
  /** What `after` must be for those behind it: microseconds and id, as a Date has not all digits of the column. */
  readonly cursor: string;
}

/** `open`: those that go on. */
export const STATE_CHOICES = ["open", "ended", ...ACTIVE_STATES, ...FINAL_STATES] as const;

export const runFilterSchema = z.strictObject({
  state: optionalOf(z.enum(STATE_CHOICES, `must be one of ${STATE_CHOICES.join(", ")}`)),
  namespace: optionalOf(textField(100)),
  app: optionalOf(textField(253)),
  runbook: optionalOf(textField(100)),
  from: optionalOf(momentField),
  to: optionalOf(momentField),
  q: optionalOf(textField(100)),
  limit: optionalOf(limitField),
  after: optionalOf(cursorField),
});

export type RunFilter = z.output<typeof runFilterSchema>;

export interface RunPage {
  readonly runs: readonly RunListed[];
  /** Undefined at the end. */
  readonly next: string | undefined;
}

/** One page of the runs that the filter lets through, the newest first. The work is bounded by the statement's time. */
export async function findRuns(filter: RunFilter, db: Queryable): Promise<RunPage> {
  const limit = filter.limit ?? ROWS_SHOWN;
  const { conditions, values } = conditionsOf(filter);
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
  const { rows } = await db.query<RunListed>(
    `SELECT id, state, namespace, app, target_key AS target, runbook, coalesce(trigger->>'alertname', '') AS alertname,
            plan->>'summary' AS plan, outcome, created_at AS "createdAt", finished_at AS "finishedAt",
            (extract(epoch FROM created_at) * 1000000)::bigint || '.' || id AS cursor
       FROM runs ${where} ORDER BY created_at DESC, id DESC LIMIT ${limit + 1}`,
    values,
  );
  // One more than shown tells whether there is more.
  const runs = rows.slice(0, limit);
  const last = rows.length > limit ? runs.at(-1) : undefined;
  return { runs, next: last?.cursor };
}

function conditionsOf(filter: RunFilter) {
  const values: unknown[] = [];
  const place = (value: unknown) => `$${values.push(value)}`;
  const { state, namespace, app, runbook, from, to, q, after } = filter;
  const conditions = [
    ...(state === undefined ? [] : [stateCondition(state, place)]),
    ...(namespace === undefined ? [] : [`namespace = ${place(namespace)}`]),
    ...(app === undefined ? [] : [`app = ${place(app)}`]),
    ...(runbook === undefined ? [] : [`runbook = ${place(runbook)}`]),
    ...(from === undefined ? [] : [`created_at >= ${place(from)}`]),
    ...(to === undefined ? [] : [`created_at < ${place(to)}`]),
    ...(q === undefined ? [] : [textCondition(place(q))]),
    ...(after === undefined
      ? []
      : [
          `(created_at, id) < (timestamptz 'epoch' + ${place(after.micros)}::bigint * interval '1 microsecond', ${place(after.id)})`,
        ]),
  ];
  return { conditions, values };
}

function stateCondition(state: NonNullable<RunFilter["state"]>, place: (v: unknown) => string) {
  if (state === "open") return "finished_at IS NULL";
  if (state === "ended") return "finished_at IS NOT NULL";
  return `state = ${place(state)}`;
}

/** In the words that the list shows; a percent sign in it is a percent sign. */
function textCondition(value: string): string {
  return `strpos(lower(concat_ws(' ', id, target_key, app, runbook, trigger->>'alertname', plan->>'summary', outcome)), lower(${value})) > 0`;
}
