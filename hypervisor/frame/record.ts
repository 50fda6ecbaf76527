import { correlationId } from "../../lib/correlation.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { currentTraceId } from "../../lib/tracing.ts";
import type { AuditAction, ResourceType } from "../audit-actions.ts";
import type { AuditEntry } from "../types.ts";

/** What an audit row of this service says. */
export interface Deed {
  readonly actor: string;
  readonly action: AuditAction;
  readonly resource: ResourceType;
  readonly id: string;
  readonly result: AuditEntry["result"];
  readonly summary: string;
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
  readonly ip: string;
  readonly organization: string | undefined;
  /** The API token that was used, by its id. */
  readonly token?: string | undefined;
}

const TEXT_MAX = 512;

/** Appends one row to the record that all services share; in the transaction of what it tells of. */
export async function appendDeed(tx: Queryable, deed: Deed): Promise<void> {
  const { actor, action, resource, result, facts, ip, organization, token } = deed;
  const id = plain(deed.id);
  const detail = {
    resource_type: resource,
    resource_id: id,
    result,
    summary: plain(deed.summary),
    ip,
    ...(token === undefined ? {} : { token }),
    ...(facts === undefined ? {} : { facts }),
  };
  await tx.query(
    `INSERT INTO runbooks_audit (event, actor, namespace, target, detail, correlation_id, trace_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      action,
      plain(actor),
      organization ?? null,
      `hypervisor/${organization ?? ""}/${resource}/${id}`,
      JSON.stringify(detail),
      correlationId() ?? null,
      currentTraceId() ?? null,
    ],
  );
}

/** Names of refused requests are the sender's own words: cut, and without what Postgres or a terminal cannot bear. */
function plain(text: string): string {
  return text
    .slice(0, TEXT_MAX)
    .toWellFormed()
    .replace(/[\p{Cc}]/gu, "\uFFFD");
}
