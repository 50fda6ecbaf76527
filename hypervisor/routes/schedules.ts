import { z } from "zod";
import { newId } from "../../lib/id.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Call } from "../frame/call.ts";
import { etagOf } from "../frame/etag.ts";
import { countOf } from "../frame/query.ts";
import type { Router } from "../frame/router.ts";
import { slugSchema } from "../people/names.ts";
import { cronProblem, nextRuns } from "../schedules/cron.ts";
import { nextOf, retentionOf, SCHEDULE, type Schedule } from "../schedules/table.ts";
import { look } from "./container-changes.ts";
import type { ContainerDeps } from "./container-deps.ts";
import { nameSchema, projectQuery } from "./names.ts";

const KEEP_MAX = 1_000;
const NAME_MAX = 40; // the snapshot's name has 15 characters more
const PER_CONTAINER_MAX = 20;
const RUNS_SHOWN = 5;

const keepCount = z.int().min(0).max(KEEP_MAX).default(0);
const keepSchema = z
  .strictObject({ last: keepCount, daily: keepCount, weekly: keepCount, monthly: keepCount })
  .refine((keep) => Object.values(keep).some((count) => count > 0), {
    error: "must keep one or more: last, daily, weekly or monthly",
  })
  .meta({ id: "Retention" });
const content = {
  cron: z.string().max(100),
  time_zone: z.string().max(64).default("Etc/UTC"),
  enabled: z.boolean().default(true),
  keep: keepSchema,
};
const scheduleSchema = z
  .object({
    name: z.string(),
    container: z.string(),
    project: z.string(),
    cron: z.string(),
    time_zone: z.string(),
    enabled: z.boolean(),
    keep: keepSchema,
    created_by: z.string(),
    next_at: z.string().nullable(),
    last_at: z.string().nullable(),
    last_status: z.string().nullable(),
    last_error: z.string().nullable(),
    created_at: z.string(),
    updated_at: z.string(),
  })
  .meta({ id: "SnapshotSchedule" });
const previewSchema = z.object({
  next_runs: z.array(z.string()),
  keep: z.array(
    z.object({ snapshot: z.string(), created_at: z.string(), reasons: z.array(z.string()) }),
  ),
  delete: z.array(z.object({ snapshot: z.string(), created_at: z.string() })),
  /** Of the container, and none of the schedule's own whole ones: it never deletes them. */
  untouched: z.array(z.string()),
});

const containerParams = z.strictObject({ name: nameSchema });
const params = containerParams.extend({ schedule: slugSchema });
const COLLECTION = "/api/v1/containers/:name/schedules";
const ITEM = `${COLLECTION}/:schedule`;

/** `/api/v1/containers/{name}/schedules`: snapshots by the clock, and which of them are kept. */
export function addScheduleRoutes(router: Router, deps: ContainerDeps): void {
  const { database } = deps.operations;
  router.route(
    {
      method: "get",
      path: COLLECTION,
      permission: "container:read",
      summary: "the snapshot schedules of a container",
      params: containerParams,
      query: projectQuery,
      answers: { 200: z.object({ schedules: z.array(scheduleSchema) }) },
    },
    async (call) => {
      const project = call.project(call.query.project);
      const { rows } = await database.query<Schedule>(
        `SELECT ${SCHEDULE} FROM hypervisor_schedules WHERE project = $1 AND container = $2 ORDER BY name`,
        [project, call.params.name],
      );
      return { status: 200, body: { schedules: rows } };
    },
  );
  router.route(
    {
      method: "get",
      path: ITEM,
      permission: "container:read",
      summary: "one snapshot schedule",
      params,
      query: projectQuery,
      answers: { 200: scheduleSchema },
    },
    async (call) => shown(200, await read(database, call)),
  );
  addPreview(router, deps);
  addCreate(router, deps);
  addUpdate(router);
  addRemove(router);
}

function shown<const S extends number>(status: S, schedule: Schedule) {
  return { status, body: schedule, headers: { ETag: etagOf(schedule.version) } };
}

type ItemCall = Pick<
  Call<z.output<typeof params>, { readonly project: string }>,
  "params" | "query" | "project"
>;

/** @throws HttpProblem 404 */
async function read(database: Queryable, call: ItemCall, lock = ""): Promise<Schedule> {
  const { name: container, schedule } = call.params;
  const { rows } = await database.query<Schedule>(
    `SELECT ${SCHEDULE} FROM hypervisor_schedules WHERE project = $1 AND container = $2 AND name = $3 ${lock}`,
    [call.project(call.query.project), container, schedule],
  );
  const [row] = rows;
  if (row === undefined)
    throw new HttpProblem(404, "Not found", `There is no schedule ${schedule} of ${container}.`);
  return row;
}

function addPreview(router: Router, { backend, operations }: ContainerDeps): void {
  const count = countOf(0, KEEP_MAX).optional();
  router.route(
    {
      method: "get",
      path: `${ITEM}/preview`,
      permission: "container:read",
      summary:
        "when it runs next, and which snapshots it would delete now, or with another retention; nothing is done",
      params,
      query: projectQuery.extend({ last: count, daily: count, weekly: count, monthly: count }),
      answers: { 200: previewSchema },
    },
    async (call) => {
      const schedule = await read(operations.database, call);
      const { last, daily, weekly, monthly } = call.query;
      const asked = Object.entries({ last, daily, weekly, monthly });
      const given = asked.filter(([, value]) => value !== undefined);
      const wanted = keepSchema.safeParse({ ...schedule.keep, ...Object.fromEntries(given) });
      if (!wanted.success) {
        const why = wanted.error.issues.map(({ message }) => message).join("; ");
        throw new HttpProblem(400, "Bad request", `the retention ${why}`);
      }
      const retention = await retentionOf(
        operations.database,
        backend,
        { ...schedule, keep: wanted.data },
        call.signal,
      );
      const decisions = retention.decisions.map(({ snapshot, createdAt, reasons }) => ({
        snapshot,
        created_at: createdAt.toISOString(),
        reasons: [...reasons],
      }));
      const { cron, time_zone: zone } = schedule;
      const runs = nextRuns(cron, zone, new Date(), RUNS_SHOWN);
      return {
        status: 200,
        body: {
          next_runs: runs.map((each) => each.toISOString()),
          keep: decisions.filter(({ reasons }) => reasons.length > 0),
          delete: decisions.filter(({ reasons }) => reasons.length === 0),
          untouched: [...retention.untouched],
        },
      };
    },
  );
}

function refuseBadTime({ cron, time_zone: zone }: Pick<Schedule, "cron" | "time_zone">): void {
  const problem = cronProblem(cron, zone);
  if (problem !== undefined) throw new HttpProblem(400, "Bad request", problem);
}

function addCreate(router: Router, { backend }: ContainerDeps): void {
  router.route(
    {
      method: "post",
      path: COLLECTION,
      permission: "container:snapshot",
      summary: "takes snapshots of a container by the clock, and deletes its own old ones",
      params: containerParams,
      query: projectQuery,
      body: z.strictObject({ name: slugSchema.max(NAME_MAX), ...content }),
      answers: { 201: scheduleSchema },
      mutates: { action: "ScheduleCreated", resource: "schedule" },
    },
    async (call) => {
      refuseBadTime(call.body);
      const { place } = await look(backend, call);
      const { name, cron, time_zone: zone, enabled, keep } = call.body;
      const { principal } = call;
      const subject = {
        id: `${place.name}/${name}`,
        summary: `Made the snapshot schedule ${name} of ${place.name}: ${cron} (${zone})`,
        facts: { project: place.project, ...call.body },
      };
      return call.change(subject, async (tx) => {
        await refuseTooMany(tx, place);
        const { rowCount } = await tx.query(
          `INSERT INTO hypervisor_schedules
             (id, project, container, name, cron, time_zone, enabled, keep, organization, created_by, next_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8,
                   coalesce((SELECT organization_id FROM hypervisor_vdcs WHERE project = $2), $9), $10, $11)
           ON CONFLICT DO NOTHING`,
          [
            ...[newId("sch"), place.project, place.name, name, cron, zone, enabled],
            ...[JSON.stringify(keep), principal.organization ?? null, principal.name],
            nextOf(call.body)?.toISOString() ?? null,
          ],
        );
        const path = `/api/v1/containers/${place.name}/schedules/${name}?project=${place.project}`;
        if (rowCount === 0)
          throw new HttpProblem(409, "Conflict", `There is a schedule ${name} of ${place.name}.`);
        const made = await read(tx, { ...call, params: { name: place.name, schedule: name } });
        const answer = shown(201, made);
        return { ...answer, headers: { ...answer.headers, Location: path } };
      });
    },
  );
}

/** @throws HttpProblem 409 */
async function refuseTooMany(
  tx: Queryable,
  { project, name }: { readonly project: string; readonly name: string },
): Promise<void> {
  const { rows } = await tx.query(
    "SELECT FROM hypervisor_schedules WHERE project = $1 AND container = $2",
    [project, name],
  );
  if (rows.length >= PER_CONTAINER_MAX)
    throw new HttpProblem(409, "Conflict", `${name} has ${PER_CONTAINER_MAX} schedules already.`);
}

function addUpdate(router: Router): void {
  router.route(
    {
      method: "put",
      path: ITEM,
      permission: "container:snapshot",
      summary: "changes a snapshot schedule; one that is not enabled neither takes nor deletes any",
      params,
      query: projectQuery,
      body: z.strictObject(content),
      answers: { 200: scheduleSchema },
      mutates: { action: "ScheduleUpdated", resource: "schedule" },
    },
    async (call) => {
      refuseBadTime(call.body);
      const { name, schedule } = call.params;
      const { cron, time_zone: zone, enabled, keep } = call.body;
      const subject = {
        id: `${name}/${schedule}`,
        summary: `Changed the snapshot schedule ${schedule} of ${name}: ${cron} (${zone})`,
        facts: { project: call.query.project, ...call.body },
      };
      return call.change(subject, async (tx) => {
        const { id, version } = await read(tx, call, "FOR UPDATE");
        call.ifMatch(etagOf(version));
        await tx.query(
          `UPDATE hypervisor_schedules SET cron = $2, time_zone = $3, enabled = $4, keep = $5, next_at = $6,
                  prune_due = prune_due AND $4, version = version + 1, updated_at = now() WHERE id = $1`,
          [id, cron, zone, enabled, JSON.stringify(keep), nextOf(call.body)?.toISOString() ?? null],
        );
        return shown(200, await read(tx, call));
      });
    },
  );
}

function addRemove(router: Router): void {
  router.route(
    {
      method: "delete",
      path: ITEM,
      permission: "container:snapshot",
      summary: "forgets a snapshot schedule; the snapshots that it took stay",
      params,
      query: projectQuery,
      answers: { 204: "nothing" },
      mutates: { action: "ScheduleDeleted", resource: "schedule" },
    },
    async (call) => {
      const { name, schedule } = call.params;
      const subject = {
        id: `${name}/${schedule}`,
        summary: `Deleted the snapshot schedule ${schedule} of ${name}`,
        facts: { project: call.query.project },
      };
      return call.change(subject, async (tx) => {
        const { id, version } = await read(tx, call, "FOR UPDATE");
        call.ifMatch(etagOf(version));
        await tx.query("DELETE FROM hypervisor_schedules WHERE id = $1", [id]);
        return { status: 204 };
      });
    },
  );
}
