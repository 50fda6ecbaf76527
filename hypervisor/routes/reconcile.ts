import { z } from "zod";
import type { Database, Queryable } from "../../lib/postgres.ts";
import type { Router } from "../frame/router.ts";
import {
  KINDS,
  quotaSchema,
  type Amounts,
  type Quota,
  type Quotas,
  type Scope,
} from "../people/quota.ts";
import type { Backend } from "../backends/types.ts";
import type { EventSink, PlatformEvent } from "../types.ts";
import { ORGANIZATIONS } from "./organizations.ts";
import { usageOf } from "./quota-use.ts";
import { readTenant, tenantParams } from "./tenant-noun.ts";

interface ReconcileDeps {
  readonly database: Database;
  readonly backend: Backend;
  readonly quotas: Quotas;
  readonly events: EventSink;
}

const amount = z.number().nullable();
const stateSchema = z.object({
  kind: z.enum(["VDC", "Organization"]),
  id: z.string(),
  quota: quotaSchema,
  /** null: something has no limit of its own. */
  used: z.object({ containers: amount, cpu: amount, memory_mb: amount, storage_gb: amount }),
  /** What is over its limit now. */
  over: z.array(z.string()),
});
type State = z.input<typeof stateSchema>;

/** `POST /api/v1/organizations/{id}/reconcile`: compares what there is with the quotas, which only say no to what is new. */
export function addReconcileRoute(router: Router, deps: ReconcileDeps): void {
  const { database, backend, quotas, events } = deps;
  router.route(
    {
      method: "post",
      path: `${ORGANIZATIONS.collection}/:id/reconcile`,
      permission: "organization:update",
      summary:
        "compares what an organization has on the backend with its quotas, and tells what is over",
      params: tenantParams,
      answers: { 200: z.object({ organization: z.string(), quotas: z.array(stateSchema) }) },
      mutates: { action: "OrganizationReconciled", resource: "organization" },
    },
    async (call) => {
      const { id } = call.params;
      await readTenant(database, ORGANIZATIONS, id, call);
      const scopes = await scopesIn(database, quotas, id);
      const usage = await usageOf(backend, scopes, call.signal);
      const states = scopes.map((scope) => stateOf(scope, usage(scope)));
      const subject = { id, summary: `Reconciled the organization ${id}`, organization: id };
      const answer = await call.change(subject, async (tx) => {
        await forgetExpired(tx, id);
        return { status: 200, body: { organization: id, quotas: states } };
      });
      for (const event of eventsOf(id, states, call.principal.name)) await events.record(event);
      return answer;
    },
  );
}

/** Those that limit anything. */
async function scopesIn(
  database: Queryable,
  quotas: Quotas,
  organization: string,
): Promise<readonly Scope[]> {
  const { rows } = await database.query<{ project: string }>(
    "SELECT project FROM hypervisor_vdcs WHERE organization_id = $1 ORDER BY id",
    [organization],
  );
  const found = new Map<string, Scope>();
  for (const { project } of rows)
    for (const scope of await quotas.scopesOf(project))
      found.set(`${scope.kind} ${scope.id}`, scope);
  return [...found.values()];
}

function stateOf({ kind, id, quota }: Scope, used: Amounts): State {
  const finite = (value = 0) => (Number.isFinite(value) ? value : null);
  return {
    kind,
    id,
    quota,
    used: {
      containers: finite(used.containers),
      cpu: finite(used.cpu),
      memory_mb: finite(used.memory_mb),
      storage_gb: finite(used.storage_gb),
    },
    over: overOf(quota, used),
  };
}

function overOf(quota: Quota, used: Amounts): string[] {
  return KINDS.flatMap((kind) => {
    const [limit, now = 0] = [quota[kind], used[kind]];
    return limit !== undefined && now > limit ? [`${kind} is ${now} of ${limit}`] : [];
  });
}

/** Of processes that were killed; nothing counts them any more. */
async function forgetExpired(tx: Queryable, organization: string): Promise<void> {
  await tx.query(
    `DELETE FROM hypervisor_limit_changes WHERE expires_at < now() AND project IN
       (SELECT project FROM hypervisor_vdcs WHERE organization_id = $1)`,
    [organization],
  );
}

function eventsOf(
  organization: string,
  states: readonly State[],
  username: string,
): PlatformEvent[] {
  const about = { namespace: organization, username };
  const over = states.flatMap(({ kind, id, over: why }) =>
    why.map((each): PlatformEvent => {
      const message = `${kind} ${id}: ${each}`;
      return { type: "Warning", reason: "QuotaExceeded", message, kind, name: id, ...about };
    }),
  );
  const message = `Organization ${organization} was reconciled by ${username}`;
  const forced = { type: "Normal", reason: "ReconcileForced", kind: "Organization" } as const;
  return [{ ...forced, message, name: organization, ...about }, ...over];
}
