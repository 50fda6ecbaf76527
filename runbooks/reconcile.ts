import type { Alert } from "../lib/contracts.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { admitTold, type AdmitDeps } from "./admit.ts";
import type { ToldAlert } from "./told.ts";

/** Alertmanager, as far as it can be asked what fires. */
export interface ActiveAlerts {
  /** @throws when it does not answer, or not in its API's words */
  list(): Promise<AlertListing>;
}

interface AlertListing {
  /** When Alertmanager was started: at first it knows nothing. */
  readonly upSince: Date;
  /** Those that are routed to us, the silenced and inhibited ones included. */
  readonly alerts: readonly ListedAlert[];
}

export interface ListedAlert extends Pick<
  Alert,
  "fingerprint" | "labels" | "annotations" | "startsAt"
> {
  /** It is neither silenced nor inhibited. */
  readonly active: boolean;
}

export interface ReconcileDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly admitDeps: AdmitDeps;
  readonly alertmanager: ActiveAlerts;
}

/** The name under which Alertmanager sends (RUNBOOK_WEBHOOK_TOKEN). */
const SOURCE = "alertmanager";
const INTERVAL_MS = 60_000;
/** Alertmanager's default resolve_timeout: who is told of since then may still be on the way. */
const RESOLVE_TIMEOUT_MINUTES = 5;
/** Seen once, an alert may wait for its group; missing once, Prometheus may be late. */
const ROUNDS = 2;

/** How many rounds in a row an alert differed from what we believe; only of those that differ now. */
type Differing = ReadonlyMap<string, number>;

/**
 * Asks Alertmanager every minute what fires, for what its notifications did not tell: it gives up on a notification after
 * any 4xx, and Grafana after any error.
 */
export async function reconcileUntil(signal: AbortSignal, deps: ReconcileDeps): Promise<void> {
  let differing: Differing = new Map();
  while (!signal.aborted) {
    try {
      differing = await reconcile(differing, deps);
    } catch (error) {
      differing = new Map(); // what was not seen cannot have been missing in a row
      deps.log.warn("Alertmanager not asked, will be tried again", { error });
    }
    await deps.clock.sleep(INTERVAL_MS, signal);
  }
}

/** One round. @returns what differed, for the next one */
export async function reconcile(before: Differing, deps: ReconcileDeps): Promise<Differing> {
  const { database, alertmanager, admitDeps, log } = deps;
  const { alerts, upSince } = await alertmanager.list();
  const open = await findOpen(database, upSince);
  const believed = new Map(open.map((episode) => [episode.fingerprint, episode]));
  const listed = new Set(alerts.map(({ fingerprint }) => fingerprint));
  const missed = alerts.filter(({ active, fingerprint }) => active && !believed.has(fingerprint));
  const gone = open.filter(({ fingerprint, closable }) => closable && !listed.has(fingerprint));

  const differing = new Map(
    [...missed, ...gone].map(({ fingerprint }) => [
      fingerprint,
      (before.get(fingerprint) ?? 0) + 1,
    ]),
  );
  const isSure = ({ fingerprint }: { readonly fingerprint: string }) =>
    (differing.get(fingerprint) ?? 0) >= ROUNDS;
  const told = {
    firing: missed.filter(isSure).map(toldOf),
    resolved: gone.filter(isSure).map(toldOf),
  };
  if (told.firing.length + told.resolved.length > 0) {
    const telling = { source: SOURCE, groupKey: undefined, truncated: false, told };
    await database.inTransaction(async (tx) =>
      admitTold(tx, { ...telling, by: "reconcile" }, admitDeps),
    );
    const counts = { opened: told.firing.length, closed: told.resolved.length };
    log.info("Alertmanager told what its notifications did not", counts);
  }
  return differing;
}

function toldOf({
  fingerprint,
  labels,
  annotations,
  startsAt,
}: Omit<ListedAlert, "active">): ToldAlert {
  return { fingerprint, labels, annotations, startsAt, endsAt: undefined };
}

type OpenAlert = Omit<ListedAlert, "active"> & { readonly closable: boolean };

/** What we believe to fire. It may be closed if both it and Alertmanager's own memory are older than a resolve takes. */
async function findOpen(database: Database, upSince: Date): Promise<readonly OpenAlert[]> {
  const { rows } = await database.query<OpenAlert>(
    `SELECT fingerprint, labels, annotations, first_starts_at::text AS "startsAt",
            greatest(last_seen_at, $2) < now() - make_interval(mins => $3) AS closable
       FROM episodes WHERE source = $1 AND resolved_at IS NULL`,
    [SOURCE, upSince, RESOLVE_TIMEOUT_MINUTES],
  );
  return rows;
}
