import { readConfig, type Environment } from "../../lib/config.ts";
import type { Log } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { listenVariables } from "../config/listen.ts";
import {
  isKillScope,
  listKillSwitches,
  switchOff,
  switchOn,
  type ActiveKillSwitch,
} from "../kill-switch.ts";

export interface KillRequest {
  readonly scope: string;
  readonly by: string;
  readonly reason: string;
}

export type KillOutcome =
  | {
      readonly kind: "done";
      readonly changed: boolean;
      /** What is off now. */
      readonly off: readonly ActiveKillSwitch[];
    }
  | { readonly kind: "no scope"; readonly expected: string };

/** `fettle disable`. */
export async function disable(
  env: Environment,
  { seconds, ...stop }: KillRequest & { readonly seconds: number | undefined },
  log: Log,
): Promise<KillOutcome> {
  return change(env, stop.scope, log, async (database) => {
    await switchOff({ ...stop, seconds }, database);
    return true;
  });
}

/** `fettle enable`. */
export async function enable(
  env: Environment,
  request: KillRequest,
  log: Log,
): Promise<KillOutcome> {
  return change(env, request.scope, log, async (database) => switchOn(request, database));
}

/** Of the configuration only the database's address is read: a broken policy must not be in the way of the stop. */
async function change(
  env: Environment,
  scope: string,
  log: Log,
  work: (database: Database) => Promise<boolean>,
): Promise<KillOutcome> {
  if (!isKillScope(scope))
    return { kind: "no scope", expected: "*, <namespace> or <namespace>/<app>" };
  const { databaseUrl } = readConfig({ databaseUrl: listenVariables.databaseUrl }, env);
  const database = openDatabase(
    { url: databaseUrl.reveal(), applicationName: "fettle-cli", max: 1 },
    log,
  );
  try {
    const changed = await work(database);
    return { kind: "done", changed, off: await listKillSwitches(database) };
  } finally {
    await database.close();
  }
}
