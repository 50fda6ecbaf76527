import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import type { Backend } from "../backends/types.ts";
import type { Call } from "../frame/call.ts";
import { begin, type Accepted } from "../operations/begin.ts";
import type { ContainerDeps } from "./container-deps.ts";
import { nameSchema } from "./names.ts";
import { roomFor, wholeOf } from "./quota-use.ts";

const CPUS_MAX = 1_024;
const MEMORY_BYTES = { min: 4 * 2 ** 20, max: 2 ** 46 };
const DISK_BYTES = { min: 2 ** 20, max: 2 ** 50 };
const LABELS_MAX = 64;
const VARIABLES_MAX = 256;

/** LXD writes values into a file of settings, line by line, where a new line is a new setting (CVE-2026-23953). */
const textOf = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^\P{Cc}*$/u, { error: "must have no control characters, such as the end of a line" });

export const resourceFields = {
  cpus: z.number().min(0.01).max(CPUS_MAX).optional(),
  memory_bytes: z.int().min(MEMORY_BYTES.min).max(MEMORY_BYTES.max).optional(),
};
const labelsSchema = z
  .record(
    // No prefix of our own, which backends use, and no name that an object has by itself.
    z
      .string()
      .regex(/^(?!fettle\.)[A-Za-z][A-Za-z0-9_./-]{0,62}$/, { error: "is no name of a label" }),
    textOf(256),
  )
  .refine((all) => Object.keys(all).length <= LABELS_MAX, {
    error: `must be ${LABELS_MAX} labels or less`,
  });
const environmentSchema = z
  .record(
    z.string().regex(/^[A-Za-z_]\w{0,127}$/, { error: "is no name of a variable" }),
    textOf(4_096),
  )
  .refine((all) => Object.keys(all).length <= VARIABLES_MAX, {
    error: `must be ${VARIABLES_MAX} variables or less`,
  });
/** What a container is made from; also what a template has. */
export const specFields = {
  image: z
    .string()
    .regex(/^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9._/:@-]{0,254}$/, { error: "is no image's reference" })
    // Snapshots of whoever: their container's own routes restore and clone them.
    .regex(/^(?!localhost\/fettle-)/i, { error: "must be no snapshot" }),
  ...resourceFields,
  /** Of its files. */
  disk_bytes: z.int().min(DISK_BYTES.min).max(DISK_BYTES.max).optional(),
  labels: labelsSchema.optional(),
  environment: environmentSchema.optional(),
  command: z.array(textOf(4_096)).min(1).max(64).optional(),
  bridge: nameSchema.max(15).optional(),
  pool: nameSchema.optional(),
};
/** Whether it shall run. */
export const startField = z.boolean().default(false);

export interface Place {
  readonly project: string;
  readonly name: string;
}

export type Spec = Place & z.output<z.ZodObject<typeof specFields>> & { readonly start: boolean };

/**
 * Begins to make a container, after everything was checked that can be known before.
 *
 * @throws HttpProblem 409 for a name that is taken, 403 over the quota, and for a tenant's bridge or pool
 */
export async function createContainer(
  { backend, quotas, operations }: ContainerDeps,
  call: Parameters<typeof begin>[1] & Pick<Call, "signal">,
  { start, memory_bytes: memoryBytes, disk_bytes: diskBytes, ...spec }: Spec,
): Promise<Accepted> {
  refuseShared(call, spec);
  if (spec.pool !== undefined)
    await backend.host.must({ ability: "choose the pool of a container" }, call);
  const place = { project: spec.project, name: spec.name };
  await refuseTaken(backend, place, call);
  const whole = wholeOf({ cpus: spec.cpus, memoryBytes, diskBytes });
  const hasRoom = await roomFor({ backend, quotas }, place.project, whole);
  const facts = { project: place.project, image: spec.image, start };
  const summary = `Created the container ${place.name} of ${spec.image}`;
  const work = { verb: "create", ...spec, memoryBytes, diskBytes, start } as const;
  return begin(operations, call, { id: place.name, summary, facts }, work, hasRoom);
}

/** Nobody knows whose a bridge or a pool is, and on another tenant's bridge their containers can be reached. */
function refuseShared({ principal }: Pick<Call, "principal">, spec: Partial<Spec>): void {
  const named = (["bridge", "pool"] as const).find((field) => spec[field] !== undefined);
  if (named === undefined || principal.projects === "all") return;
  const detail = `${named}: only the platform's people choose one; leave it out.`;
  throw new HttpProblem(403, "Forbidden", detail);
}

/** So that a dry run tells it too; that two come at once is the backend's to refuse. @throws HttpProblem 409 */
export async function refuseTaken(
  { containers }: Backend,
  place: Place,
  call: Pick<Call, "signal">,
): Promise<void> {
  const taken = await containers.get(place, call).catch((error: unknown) => {
    if (error instanceof HttpProblem && error.status === 404) return undefined;
    throw error;
  });
  if (taken !== undefined)
    throw new HttpProblem(409, "Conflict", `There is a container ${place.name} already.`);
}
