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
  })
  .meta({ id: "Quota" });

export type Quota = z.output<typeof quotaSchema>;
/** Amounts of the same things. */
export type Amounts = { readonly [K in keyof Quota]?: number | undefined };

/** Whether a project has room for something more. */
export interface Quotas {
  /**
   * @param used what the project holds now, as the backend tells
   * @param wish what comes on top
   * @param tx a transaction that this is part of
   * @throws HttpProblem 403 that names the limit; an event `QuotaExceeded` is recorded
   */
  check(project: string, used: Amounts, wish: Amounts, tx?: Queryable): Promise<void>;
}

interface Limits {
  readonly vdc: string;
  readonly organization: string;
  readonly quota: Quota;
}

const KINDS = ["containers", "cpu", "memory_mb"] as const;

/** Quotas of VDCs. A project that belongs to none has no limits: only the platform's own people can use it. */
export function vdcQuotas(database: Queryable, events: EventSink): Quotas {
  return {
    check: async (project, used, wish, tx = database) => {
      const { rows } = await tx.query<Limits>(
        "SELECT id AS vdc, organization_id AS organization, quota FROM hypervisor_vdcs WHERE project = $1",
        [project],
      );
      const [limits] = rows;
      const over = limits && exceeded(limits.quota, used, wish);
      if (limits === undefined || over === undefined) return;
      await events.record({
        type: "Warning",
        reason: "QuotaExceeded",
        message: `VDC ${limits.vdc}: ${over}`,
        kind: "VDC",
        name: limits.vdc,
        namespace: limits.organization,
      });
      throw new HttpProblem(403, "Quota exceeded", `VDC ${limits.vdc}: ${over}`);
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
