import { openDatabase } from "../../../lib/postgres.ts";
import { silentLog } from "../../../lib/log.ts";
import { takeSlot } from "../../../runbooks/guard.ts";
import { createTestDatabase } from "../../servers/postgres.ts";
import { row } from "./figures.ts";

const CLIENTS = 64;
const APPS = 20;
const ROUNDS = 5;
const LIMITS = { hourly: 3, daily: 10 };

/** 64 clients that all want the last slots of 20 apps, each for a run of its own. */
export async function measureBreaker(): Promise<void> {
  const testDatabase = await createTestDatabase();
  const database = openDatabase(
    { url: testDatabase.url, applicationName: "bench", max: CLIENTS },
    silentLog,
  );
  try {
    await database.query(
      `INSERT INTO runs (id, target_key, namespace, app, runbook, state, trigger, deadline_at)
       SELECT 'run_' || client || '-' || turn, 'bench/' || client || '-' || turn, 'shop', 'app', 'bench', 'intent', '{}', now() + interval '1 hour'
         FROM generate_series(0, $1::int - 1) AS client, generate_series(0, $2::int - 1) AS turn`,
      [CLIENTS, APPS * ROUNDS],
    );
    const start = performance.now();
    await Promise.all(
      Array.from({ length: CLIENTS }, async (_, client) => {
        for (let turn = 0; turn < APPS * ROUNDS; turn += 1) {
          const app = (client + turn) % APPS;
          await database.inTransaction(async (tx) =>
            takeSlot(
              {
                appKeys: [`default/shop/deployment/app-${app}`, `app:default/shop/app-${app}`],
                runId: `run_${client}-${turn}`,
                limits: LIMITS,
              },
              tx,
            ),
          );
        }
      }),
    );
    const seconds = (performance.now() - start) / 1000;
    const { rows } = await database.query<{ slots: number }>(
      "SELECT count(*)::int AS slots FROM breaker_slots GROUP BY app_key",
    );
    const over = rows.map(({ slots }) => slots - LIMITS.hourly);
    const attempts = CLIENTS * APPS * ROUNDS;
    row(
      "tries to take a slot: 64 clients, 20 apps, limit 3",
      attempts,
      "",
      `in ${seconds.toFixed(1)} s`,
    );
    row(
      "… breakers that let exactly 3 through",
      over.filter((slots) => slots === 0).length,
      "",
      "40",
    );
    row(
      "… slots over the limit",
      over.reduce((sum, slots) => sum + Math.max(0, slots), 0),
      "",
      "0",
    );
  } finally {
    await database.close();
    await testDatabase.drop();
  }
}
