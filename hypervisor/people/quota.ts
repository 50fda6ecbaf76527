import { z } from "zod";
import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { EventSink } from "../types.ts";

/** Limits of an organization or a VDC; what is left out has none. */
export const quotaSchema = z
  .strictObject({
    containers: z.int().min(0).max(1_000_000).optional(),
    /** Cores. */
    cpu: z.number().min(0).max(1_000_000).optional(),
    memory_mb: z.int().min(0).max(1_000_000_000).optional(),
    /** Of containers' disks and of volumes, in GiB. */
    storage_gb: z.number().min(0).max(1_000_000_000).optional(),
    /** Of each container. */
    snapshots: z.int().min(0).max(100_000).optional(),
  })
  .meta({ id: "Quota" });

export type Quota = z.output<typeof quotaSchema>;
/** Amounts of the same things. */
export type Amounts = { readonly [K in keyof Quota]?: number | undefined };

/** A VDC, or an organization with all of its VDCs. */
export interface Scope {
  readonly kind: "VDC" | "Organization";
  readonly id: string;
  readonly organization: string;
  readonly quota: Quota;
  readonly projects: readonly string[];
}

export interface Quotas {
  /** Whose limits hold for a project; none for one that belongs to no VDC, which only the platform's own people can use. */
  scopesOf(project: string, tx?: Queryable): Promise<readonly Scope[]>;
  /**
   * @param used what the scope holds now
   * @param wish what comes on top
   * @throws HttpProblem 403 that names the limit; an event `QuotaExceeded` is recorded
   */
  check(scope: Scope, used: Amounts, wish: Amounts): Promise<void>;
}

/** What is limited. */
export const KINDS = ["containers", "cpu", "memory_mb", "storage_gb", "snapshots"] as const;

/** Quotas as they stand in the database. */
export function storedQuotas(database: Queryable, events: EventSink): Quotas {
  return {
    scopesOf: async (project, tx = database) => {
      const { rows } = await tx.query<Scope>(
        `SELECT 'VDC' AS kind, id, organization_id AS organization, quota, ARRAY[project] AS projects
           FROM hypervisor_vdcs WHERE project = $1
         UNION ALL
         SELECT 'Organization', o.id, o.id, o.quota,
                ARRAY(SELECT project FROM hypervisor_vdcs WHERE organization_id = o.id ORDER BY id)
           FROM hypervisor_organizations o JOIN hypervisor_vdcs v ON v.organization_id = o.id WHERE v.project = $1`,
        [project],
      );
      return rows.filter(({ quota }) => Object.keys(quota).length > 0);
    },
    check: async ({ kind, id, organization, quota }, used, wish) => {
      const over = exceeded(quota, used, wish);
      if (over === undefined) return;
      const message = `${kind} ${id}: ${over}`;
      await events.record({
        type: "Warning",
        reason: "QuotaExceeded",
        message,
        kind,
        name: id,
        namespace: organization,
      });
      throw new HttpProblem(403, "Quota exceeded", message);
    },
  };
}

/** The first limit that would be passed, in words; what does not grow is never refused. */
export function exceeded(quota: Quota, used: Amounts, wish: Amounts): string | undefined {
  for (const kind of KINDS) {
    const limit = quota[kind];
    const more = wish[kind] ?? 0;
    const total = (used[kind] ?? 0) + more;
    if (limit !== undefined && more > 0 && total > limit)
      return `${kind} would be ${total} of ${limit}`;
  }
  return undefined;
}
