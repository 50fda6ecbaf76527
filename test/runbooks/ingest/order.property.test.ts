import { afterAll, beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Database } from "../../../lib/postgres.ts";
import { closeEpisodes, openEpisodes } from "../../../runbooks/episode.ts";
import type { ToldAlert } from "../../../runbooks/told.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";

const CASES = 10_000;
const AT_ONCE = 500;

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

/** Something that is told of an alert: it fires since minute `start`, or it ended at minute `end`. */
type Event = { readonly start: number } | { readonly start: number; readonly end: number };

const minute = fc.integer({ min: 0, max: 9 });
const event: fc.Arbitrary<Event> = fc.oneof(
  minute.map((start) => ({ start })),
  fc.tuple(minute, minute).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) })),
);

/** The reference: an alert fires if a start is later than every end; otherwise it has ended at the last of them. */
function model(events: readonly Event[]): number | "fires" {
  const ends = events.flatMap((told) => ("end" in told ? told.end : []));
  const starts = events.flatMap((told) => ("end" in told ? [] : told.start));
  const [lastEnd, lastStart] = [Math.max(...ends, -1), Math.max(...starts, -1)];
  return lastStart > lastEnd ? "fires" : lastEnd;
}

const timeOf = (at: number) => `2026-01-01T00:${String(at).padStart(2, "0")}:00Z`;

function told(fingerprint: string, event: Event): ToldAlert {
  const endsAt = "end" in event ? timeOf(event.end) : undefined;
  return { fingerprint, labels: {}, annotations: {}, startsAt: timeOf(event.start), endsAt };
}

/** Tells of many alerts at once; the first event of each, then the second, … */
async function tellAll(source: string, histories: readonly (readonly Event[])[]): Promise<void> {
  const origin = { source, groupKey: undefined, truncated: false };
  for (let at = 0; histories.some(({ length }) => length > at); at += 1) {
    const now = histories.flatMap((events, alert) => {
      const event = events[at];
      return event === undefined ? [] : [{ ended: "end" in event, alert: told(`${alert}`, event) }];
    });
    await database.inTransaction(async (tx) => {
      const of = (ended: boolean) =>
        now.filter((one) => one.ended === ended).map(({ alert }) => alert);
      await closeEpisodes(tx, { source }, of(true));
      await openEpisodes(tx, origin, of(false));
    });
  }
}

async function statesOf(source: string, count: number): Promise<readonly (number | "fires")[]> {
  const { rows } = await database.query<{ alert: string; open: boolean; last: Date | null }>(
    `SELECT fingerprint AS alert, bool_or(resolved_at IS NULL) AS open, max(resolved_at) AS last
       FROM episodes WHERE source = $1 GROUP BY fingerprint`,
    [source],
  );
  const states = new Map(
    rows.map(({ alert, open, last }) => [
      Number(alert),
      open ? "fires" : (last?.getUTCMinutes() ?? -1),
    ]),
  );
  return Array.from({ length: count }, (_, at) => states.get(at) as number | "fires");
}

test(`what is told of an alert ends in the same state in any order (${CASES} histories)`, async () => {
  const seed = Number(process.env["FC_SEED"] ?? 20_261_121);
  const histories = fc.sample(fc.array(event, { minLength: 1, maxLength: 6 }), {
    numRuns: CASES,
    seed,
  });

  for (let from = 0; from < CASES; from += AT_ONCE) {
    const some = histories.slice(from, from + AT_ONCE);
    await tellAll(`from-${from}`, some);

    expect(await statesOf(`from-${from}`, some.length)).toEqual(some.map(model));
  }
});
