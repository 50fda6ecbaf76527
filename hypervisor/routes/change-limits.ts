import { z } from "zod";
import type { Container, Resources } from "../backends/types.ts";
import { etagOf } from "../frame/etag.ts";
import type { Router } from "../frame/router.ts";
import {
  beginChange,
  endChange,
  orRelease,
  type LimitChange,
} from "../operations/limit-changes.ts";
import { takeTurn } from "../operations/makings.ts";
import { organizationOf, refuseBusy } from "../operations/table.ts";
import { look } from "./container-changes.ts";
import type { ContainerDeps } from "./container-deps.ts";
import { resourceFields } from "./create-container.ts";
import { nameSchema, projectQuery } from "./names.ts";
import { operate } from "./operate.ts";
import { roomFor, stillRoomFor } from "./quota-use.ts";
import { containerAnswer, containerSchema } from "./shown-container.ts";

type Deps = Pick<ContainerDeps, "backend" | "quotas" | "operations">;

/** `PATCH /api/v1/containers/{name}`: other limits for a container. */
export function addLimitRoutes(router: Router, deps: Deps): void {
  const { backend, operations } = deps;
  router.route(
    {
      method: "patch",
      path: "/api/v1/containers/:name",
      permission: "container:update",
      summary: "changes the limits of a container while it runs",
      params: z.strictObject({ name: nameSchema }),
      query: projectQuery,
      body: z.strictObject(resourceFields).refine((body) => Object.keys(body).length > 0, {
        error: "must have cpus or memory_bytes",
      }),
      answers: { 200: containerSchema },
      mutates: { action: "ContainerUpdated", resource: "container" },
    },
    async (call) => {
      await backend.host.must({ ability: "change the limits of a container" }, call);
      const { place, container } = await look(backend, call);
      call.ifMatch(etagOf(container.revision));
      const { cpus, memory_bytes: memoryBytes } = call.body;
      const change = { ...place, cpus, memoryBytes };
      const facts = { project: place.project, ...call.body };
      const summary = `Changed the limits of ${place.name}`;
      const organization = await organizationOf(operations.database, place.project);
      const subject = { id: place.name, summary, facts, organization };
      await holdRoom(deps, change, container, call);
      const { database } = operations;
      return orRelease({ database, dryRun: call.dryRun }, place, async (asked) =>
        operate(call, subject, async () => {
          // Only who named a version cares about somebody else's change in between.
          const revision = call.header("if-match") === undefined ? undefined : container.revision;
          asked();
          return containerAnswer(200, await backend.containers.update({ ...change, revision }));
        }),
      );
    },
  );
}

/**
 * Writes down that the container is about to have these limits, so that they count for whoever asks meanwhile. What ended
 * between the look at the backend and that is seen by looking again.
 *
 * @throws HttpProblem 403 that names the quota, 409 while an operation or another change has the container
 */
async function holdRoom(
  { backend, quotas, operations: { database } }: Deps,
  change: LimitChange,
  container: Container,
  {
    dryRun,
    principal,
  }: {
    readonly dryRun: boolean;
    readonly principal: { readonly organization: string | undefined };
  },
): Promise<void> {
  const { project, name } = change;
  const hasRoom = await roomFor({ backend, quotas }, project, growth(container, change));
  await database.inTransaction(async (tx) => {
    await takeTurn(tx, project, principal.organization);
    await refuseBusy(tx, `${project}/${name}`);
    await hasRoom(tx);
    if (!dryRun) await beginChange(tx, change);
  });
  if (dryRun) return;
  await stillRoomFor({ backend, quotas, database }, change, (now) => growth(now, change)).catch(
    async (error: unknown) => {
      await endChange(database, change).catch(() => undefined);
      throw error;
    },
  );
}

/** What is larger than before. */
function growth(before: Resources, after: Resources): Resources {
  const more = (was = Infinity, will: number | undefined) =>
    will === undefined ? undefined : Math.max(will - was, 0);
  return {
    cpus: more(before.cpus, after.cpus),
    memoryBytes: more(before.memoryBytes, after.memoryBytes),
  };
}
