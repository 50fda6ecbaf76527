import { sha256Hex } from "../lib/canonical.ts";
import type { Queryable } from "../lib/postgres.ts";
import { parseFrame } from "./parse.ts";

/** An alert as it is known: since when it fires, and what became of it. */
export interface AlertSummary {
  readonly id: string;
  readonly source: string;
  readonly alertname: string;
  readonly namespace: string;
  readonly since: Date;
  readonly lastSeen: Date;
  readonly resolved: Date | null;
  /** How often it has fired, this time included. */
  readonly opened: number;
  readonly run: string | null;
}

export interface AlertDetail extends AlertSummary {
  readonly fingerprint: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly truncated: boolean;
  readonly resolvedBy: string | null;
  /** When it is looked at again, because its target rests. */
  readonly waitsUntil: Date | null;
}

const SUMMARY = `id, source, coalesce(labels->>'alertname', '') AS alertname, coalesce(labels->>'namespace', '') AS namespace,
  first_starts_at AS since, last_seen_at AS "lastSeen", resolved_at AS resolved, opened, run_id AS run`;

/** The alerts that fire, or all; the newest first. */
export async function listAlerts(
  database: Queryable,
  { limit, all }: { readonly limit: number; readonly all: boolean },
): Promise<readonly AlertSummary[]> {
  const { rows } = await database.query<AlertSummary>(
    `SELECT ${SUMMARY} FROM episodes WHERE $2 OR resolved_at IS NULL ORDER BY first_starts_at DESC, id DESC LIMIT $1`,
    [limit, all],
  );
  return rows;
}

export async function showAlert(database: Queryable, id: string): Promise<AlertDetail | undefined> {
  const { rows } = await database.query<AlertDetail>(
    `SELECT ${SUMMARY}, fingerprint, labels, annotations, truncated, resolved_by AS "resolvedBy", admit_at AS "waitsUntil"
       FROM episodes WHERE id::text = $1`,
    [id],
  );
  return rows[0];
}

/** A delivery that could not be read, or that the database could not take. */
export interface QuarantinedDelivery {
  readonly id: string;
  readonly source: string;
  readonly received: Date;
  readonly deliveries: number;
  readonly problem: string;
}

export async function listQuarantine(
  database: Queryable,
  limit: number,
): Promise<readonly QuarantinedDelivery[]> {
  const { rows } = await database.query<QuarantinedDelivery>(
    `SELECT id, source, received_at AS received, deliveries, error AS problem FROM inbox
      WHERE error IS NOT NULL ORDER BY id DESC LIMIT $1`,
    [limit],
  );
  return rows;
}

export type RetryOutcome =
  | { readonly kind: "queued"; readonly alerts: number }
  | { readonly kind: "not_found" }
  | { readonly kind: "refused"; readonly why: string };

/** Reads a quarantined delivery again, with this program; the sweep looks at it within seconds. */
export async function retryQuarantined(database: Queryable, id: string): Promise<RetryOutcome> {
  const { rows } = await database.query<{ raw: Buffer; sha256: string }>(
    "SELECT raw, body_sha256 AS sha256 FROM inbox WHERE id::text = $1 AND error IS NOT NULL",
    [id],
  );
  const [row] = rows;
  if (row === undefined) return { kind: "not_found" };
  if (sha256Hex(row.raw) !== row.sha256)
    return {
      kind: "refused",
      why: "only its first 64 KiB were kept: its sender must send it again",
    };
  const parsed = parseFrame(row.raw);
  if (parsed.kind === "malformed") return { kind: "refused", why: parsed.problem };
  const { frame, flags } = parsed;
  await database.query(
    `UPDATE inbox SET content = $2, alerts = $3, flags = $4, error = NULL, processed_at = NULL
      WHERE id::text = $1 AND error IS NOT NULL`,
    [id, JSON.stringify(frame), frame.alerts.length, flags],
  );
  return { kind: "queued", alerts: frame.alerts.length };
}
