import type pg from "pg";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/postgres.ts";
import type { TrainingTurns, Turn } from "../types/training.ts";

/** Numbers that nobody else locks: who trains now, and (as the first of two) for which time was trained. */
const TRAINING_LOCK = 7_305_020;
const DUE_LOCK = 7_305_021;
/** How far replicas' clocks, and their delays, may be apart without a second training. */
const REMEMBERED_MS = 120_000;

/**
 * Turns by advisory locks, which end with their session: a killed replica keeps nobody from training. One lock says that
 * somebody trains; another, named after the due time, is held two minutes longer, so that a replica that is late does not
 * do again what is done. They need a session of their own, not one through a pooler that shares sessions between
 * transactions.
 */
export function openTrainingTurns(database: Database, clock: Clock): TrainingTurns {
  let remembering = new AbortController();
  let session: Promise<unknown> = Promise.resolve();
  const forget = async (): Promise<void> => {
    remembering.abort();
    await session;
  };
  return {
    take: async <T>(due: Date, work: () => Promise<T>): Promise<Turn<T>> => {
      await forget(); // a new due time ends the memory of the one before
      remembering = new AbortController();
      const { signal } = remembering;
      return new Promise((resolve, reject) => {
        session = database
          .withConnection(async (client) => {
            if (!(await lock(client, due))) {
              resolve({ kind: "taken" });
              return;
            }
            await work().then((result) => {
              resolve({ kind: "done", result });
            }, reject);
            await client.query("SELECT pg_advisory_unlock($1)", [TRAINING_LOCK]);
            const forgetAt = due.getTime() + REMEMBERED_MS;
            await clock.sleep(Math.max(0, forgetAt - clock.now().getTime()), signal);
            await client.query("SELECT pg_advisory_unlock_all()");
          })
          .catch(reject); // after the work: of no interest, its locks are gone with the session
      });
    },
    close: forget,
  };
}

async function lock(client: pg.PoolClient, due: Date): Promise<boolean> {
  const { rows } = await client.query<{ training: boolean; due: boolean }>(
    `SELECT pg_try_advisory_lock($1) AS training, pg_try_advisory_lock($2, $3) AS due`,
    [TRAINING_LOCK, DUE_LOCK, Math.floor(due.getTime() / 1000) | 0],
  );
  if (rows[0]?.training === true && rows[0].due) return true;
  await client.query("SELECT pg_advisory_unlock_all()");
  return false;
}
