import { z } from "zod";
import type { AuditAction, ResourceType } from "../audit-actions.ts";
import type { Backend } from "../backends/types.ts";

const place = { project: z.string(), name: z.string() };

/** What an operation does, as it is kept until it is done: another process may have to go on with it. */
export const workSchema = z.discriminatedUnion("verb", [
  z.object({
    verb: z.literal("create"),
    ...place,
    image: z.string(),
    cpus: z.number().optional(),
    memoryBytes: z.number().optional(),
    diskBytes: z.number().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    environment: z.record(z.string(), z.string()).optional(),
    command: z.array(z.string()).optional(),
    bridge: z.string().optional(),
    pool: z.string().optional(),
    start: z.boolean(),
  }),
  z.object({ verb: z.literal("remove"), ...place, force: z.boolean(), containerId: z.string() }),
  z.object({ verb: z.literal("snapshot"), ...place, snapshot: z.string(), comment: z.string() }),
  z.object({ verb: z.literal("restore"), ...place, snapshot: z.string() }),
  z.object({ verb: z.literal("clone"), ...place, snapshot: z.string(), newName: z.string() }),
  z.object({ verb: z.literal("delete-snapshot"), ...place, snapshot: z.string() }),
  z.object({
    verb: z.literal("export-snapshot"),
    ...place,
    snapshot: z.string(),
    keys: z.array(z.string()).optional(),
  }),
  z.object({ verb: z.literal("prune"), ...place, schedule: z.string() }),
]);

export type Work = z.output<typeof workSchema>;
export type WorkOf<V extends Work["verb"]> = Extract<Work, { verb: V }>;

/** How the record calls each kind of work. */
export const DEEDS: Readonly<
  Record<Work["verb"], { readonly action: AuditAction; readonly resource: ResourceType }>
> = {
  create: { action: "ContainerCreated", resource: "container" },
  remove: { action: "ContainerDeleted", resource: "container" },
  snapshot: { action: "SnapshotCreated", resource: "snapshot" },
  restore: { action: "SnapshotRestored", resource: "snapshot" },
  clone: { action: "SnapshotCloned", resource: "snapshot" },
  "delete-snapshot": { action: "SnapshotDeleted", resource: "snapshot" },
  "export-snapshot": { action: "SnapshotExported", resource: "snapshot" },
  prune: { action: "SnapshotsPruned", resource: "schedule" },
};

export const STATUSES = ["pending", "in_progress", "completed", "failed", "cancelled"] as const;
export type Status = (typeof STATUSES)[number];
export const ENDED: ReadonlySet<Status> = new Set<Status>(["completed", "failed", "cancelled"]);

/** What is told of the work while it goes on. */
export interface Step {
  readonly percent: number;
  readonly message: string;
}

/** An operation that this process does now. */
export interface Claim {
  readonly id: string;
  readonly epoch: number;
  readonly kind: AuditAction;
  readonly resource: ResourceType;
  readonly resourceId: string;
  readonly organization: string | undefined;
  readonly actor: string;
  readonly ip: string;
  readonly token: string | undefined;
  readonly correlationId: string | undefined;
  readonly summary: string;
  readonly facts: Readonly<Record<string, unknown>> | undefined;
  readonly scheduleId: string | undefined;
  readonly work: Work;
  /** By the database's clock. */
  readonly startedAt: Date;
}

export interface Run {
  readonly backend: Backend;
  readonly claim: Claim;
  /** Aborted when the operation is not ours any more, or the service stops. */
  readonly signal: AbortSignal;
  readonly tell: (step: Step) => Promise<void>;
}

/** What a look at the backend says about work that another process began. */
export type Looked =
  | { readonly kind: "done"; readonly result?: object | undefined }
  /** To do it (again) changes nothing that it would not have changed before. */
  | { readonly kind: "again" }
  | { readonly kind: "unknown"; readonly why: string };

export interface Handler<W extends Work> {
  /** @returns what the operation's `result` shows. @throws HttpProblem as the backend's refusals come */
  readonly perform: (work: W, run: Run) => Promise<object | undefined>;
  readonly look: (work: W, run: Run) => Promise<Looked>;
  /** What of its result is put on record. */
  readonly facts?: (result: Readonly<Record<string, unknown>>) => object;
}

export type Handlers = { readonly [V in Work["verb"]]: Handler<WorkOf<V>> };

export type Outcome =
  | {
      readonly kind: "completed";
      readonly result: object | undefined;
      readonly message: string;
      /** For the record. */
      readonly facts?: object | undefined;
    }
  | {
      readonly kind: "failed";
      readonly error: string;
      /** The backend has refused it: nothing of it is there. */
      readonly nothingDone?: boolean | undefined;
      /** What it was about is not there. */
      readonly notFound?: boolean | undefined;
    };
