import { z } from "zod";
import { messageOf } from "../../lib/error.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { AuditAction } from "../audit-actions.ts";
import { ACTIONS, type Action, type Backend, type Container } from "../backends/types.ts";
import { mustAct } from "../backends/transition.ts";
import { BackendError } from "../backends/error.ts";
import { actionEvent } from "../events/container-events.ts";
import type { Call } from "../frame/call.ts";
import { etagOf } from "../frame/etag.ts";
import type { Router } from "../frame/router.ts";
import { begin } from "../operations/begin.ts";
import { beginChange, orRelease } from "../operations/limit-changes.ts";
import { takeTurn } from "../operations/makings.ts";
import { progressSchema } from "../operations/shown-progress.ts";
import { organizationOf, refuseBusy } from "../operations/table.ts";
import type { Permission } from "../permissions.ts";
import type { ContainerDeps } from "./container-deps.ts";
import { createContainer, specFields, startField, type Place } from "./create-container.ts";
import { nameSchema, projectQuery } from "./names.ts";
import { operate } from "./operate.ts";
import { containerAnswer, containerSchema } from "./shown-container.ts";

const GRACE_SECONDS_MAX = 60;
/** Longer than the backend is waited for (backends/guard.ts); who got no answer then wants to try again soon. */
const HELD_SECONDS = 180;
const params = z.strictObject({ name: nameSchema });
const ITEM = "/api/v1/containers/:name";

/** What may be done to containers. */
export function addContainerChangeRoutes(router: Router, deps: ContainerDeps): void {
  addCreate(router, deps);
  addRemove(router, deps);
  addAction(router, deps);
}

function addCreate(router: Router, deps: ContainerDeps): void {
  router.route(
    {
      method: "post",
      path: "/api/v1/containers",
      permission: "container:create",
      summary: "makes a container, and starts it if that is wished",
      query: projectQuery,
      body: z.strictObject({ name: nameSchema, ...specFields, start: startField }),
      answers: { 202: progressSchema },
      mutates: { action: "ContainerCreated", resource: "container" },
    },
    async (call) => {
      const place = { project: call.project(call.query.project), name: call.body.name };
      return createContainer(deps, call, { ...call.body, ...place });
    },
  );
}

/** @throws HttpProblem 404, also for another organization's project */
export async function look(
  { containers }: Backend,
  call: Pick<
    Call<{ readonly name: string }, { readonly project: string }>,
    "params" | "query" | "project" | "signal"
  >,
): Promise<{ readonly place: Place; readonly container: Container }> {
  const place = { project: call.project(call.query.project), name: call.params.name };
  return { place, container: await containers.get(place, call) };
}

function addRemove(router: Router, { backend, operations }: ContainerDeps): void {
  router.route(
    {
      method: "delete",
      path: ITEM,
      permission: "container:delete",
      summary: "removes a container and its snapshots; a running one only with force=true",
      params,
      query: projectQuery.extend({ force: z.enum(["true", "false"]).default("false") }),
      answers: { 202: progressSchema },
      mutates: { action: "ContainerDeleted", resource: "container" },
    },
    async (call) => {
      const { place, container } = await look(backend, call);
      call.ifMatch(etagOf(container.revision));
      const force = call.query.force === "true";
      if (!force && container.status !== "stopped") {
        const why = `Container ${place.name} is ${container.status}: stop it first, or say force=true.`;
        throw new HttpProblem(409, "Conflict", why);
      }
      const dependants = call.dryRun ? await dependantsOf(operations.database, backend, place) : {};
      const facts = { project: place.project, force, container_id: container.id, ...dependants };
      const subject = { id: place.name, summary: `Removed the container ${place.name}`, facts };
      const work = { verb: "remove", ...place, force, containerId: container.id } as const;
      return begin(operations, call, subject, work);
    },
  );
}

/** What goes with a container, so that a dry run tells it. */
async function dependantsOf(database: Queryable, { snapshots }: Backend, place: Place) {
  const { rows } = await database.query<{ name: string }>(
    "SELECT name FROM hypervisor_schedules WHERE project = $1 AND container = $2 ORDER BY name",
    [place.project, place.name],
  );
  const taken = await snapshots.list(place);
  return { snapshots: taken.map(({ name }) => name), schedules: rows.map(({ name }) => name) };
}

/** What an action needs and how it is called afterwards. */
const DEEDS: Readonly<
  Record<
    Action,
    { readonly needs: readonly Permission[]; readonly action: AuditAction; readonly done: string }
  >
> = {
  start: { needs: ["container:start"], action: "ContainerStarted", done: "Started" },
  stop: { needs: ["container:stop"], action: "ContainerStopped", done: "Stopped" },
  restart: {
    needs: ["container:stop", "container:start"],
    action: "ContainerRestarted",
    done: "Restarted",
  },
  pause: { needs: ["container:stop"], action: "ContainerPaused", done: "Paused" },
  resume: { needs: ["container:start"], action: "ContainerResumed", done: "Resumed" },
};

function addAction(router: Router, deps: ContainerDeps): void {
  const { backend, operations } = deps;
  router.route(
    {
      method: "post",
      path: `${ITEM}/action`,
      permission: ["container:start", "container:stop"],
      summary: "starts, stops, restarts, pauses or resumes a container",
      params,
      query: projectQuery,
      body: z.strictObject({
        action: z.enum(ACTIONS),
        /** How long it may take to shut down before it is killed (stop, restart). */
        timeout_seconds: z.int().min(0).max(GRACE_SECONDS_MAX).optional(),
      }),
      answers: { 200: containerSchema },
      mutates: { action: "ContainerStarted", resource: "container" },
    },
    async (call) => {
      const { action, timeout_seconds: graceSeconds } = call.body;
      const deed = DEEDS[action];
      for (const permission of deed.needs) await call.require(permission, call.params.name);
      const { place, container } = await look(backend, call);
      call.ifMatch(etagOf(container.revision));
      refuseImpossible(action, container);
      await hold(operations.database, place, call);
      const facts = { project: place.project, container_id: container.id };
      const summary = `${deed.done} the container ${place.name}`;
      const organization = await organizationOf(operations.database, place.project);
      const subject = { id: place.name, summary, facts, organization, action: deed.action };
      const { database } = operations;
      return orRelease({ database, dryRun: call.dryRun }, place, async (asked) =>
        operate(call, subject, async () => {
          asked();
          const acted = backend.containers.act({ ...place, action, graceSeconds });
          return containerAnswer(200, await tellAction(acted, { ...deps, call, place, action }));
        }),
      );
    },
  );
}

/**
 * Keeps everything else away from the container until the action has ended.
 *
 * @throws HttpProblem 409 while an operation, a change or another action has the container
 */
async function hold(
  database: Database,
  place: Place,
  { dryRun, principal }: Pick<Call, "dryRun" | "principal">,
): Promise<void> {
  await database.inTransaction(async (tx) => {
    await takeTurn(tx, place.project, principal.organization);
    await refuseBusy(tx, `${place.project}/${place.name}`);
    if (!dryRun) await beginChange(tx, place, HELD_SECONDS);
  });
}

/** The event of an action, however it ends. */
async function tellAction(
  acted: Promise<Container>,
  about: Pick<ContainerDeps, "events" | "operations"> & {
    readonly call: Pick<Call, "principal">;
    readonly place: Place;
    readonly action: Action;
  },
): Promise<Container> {
  const { events, operations, call, place, action } = about;
  const { principal } = call;
  const tell = async (more: { readonly failed?: string }) => {
    const organization = await organizationOf(operations.database, place.project);
    const who = { username: principal.name, organization: organization ?? principal.organization };
    await events.record(actionEvent(action, { name: place.name, ...who, ...more }));
  };
  try {
    const container = await acted;
    await tell({});
    return container;
  } catch (error) {
    await tell({ failed: messageOf(error) });
    throw error;
  }
}

/** For dry runs too. @throws HttpProblem 409 */
function refuseImpossible(action: Action, { name, status }: Container): void {
  try {
    mustAct(action, name, status);
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    throw new HttpProblem(409, "Conflict", `${error.message}.`);
  }
}
