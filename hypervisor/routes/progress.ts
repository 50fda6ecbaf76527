import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Call } from "../frame/call.ts";
import { countOf } from "../frame/query.ts";
import type { Router } from "../frame/router.ts";
import { estimate } from "../operations/estimate.ts";
import type { Follow } from "../operations/follow.ts";
import {
  findProgress,
  findTenantsWorkflow,
  HISTORY_MAX,
  keyOf,
  lockWorkflow,
  readDurations,
  readHistory,
  tellWorkflow,
  type Progress,
  type Viewer,
} from "../operations/progress-table.ts";
import {
  estimateSchema,
  lineSchema,
  progressSchema,
  statusSchema,
  workflowIdSchema,
  workKindSchema,
} from "../operations/shown-progress.ts";
import { ENDED, type Status } from "../operations/types.ts";
import { lineSchema as oneLineSchema, slugSchema } from "../people/names.ts";

export interface ProgressDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly follow: Follow;
}

const params = z.strictObject({ workflow_id: workflowIdSchema });
/** Whose, where several organizations have a workflow of that id. */
const whose = { organization: slugSchema.optional() };
const ITEM = "/progress/:workflow_id";
/** Earlier operations of a kind that an estimate rests on. */
const SAMPLES_MAX = 50;

/** `/progress`: how far operations and workers' workflows are. */
export function addProgressRoutes(router: Router, deps: ProgressDeps): void {
  const { database, clock } = deps;
  router.route(
    {
      method: "get",
      path: ITEM,
      permission: "progress:read",
      summary: "how far an operation or a workflow is",
      params,
      query: z.strictObject(whose),
      answers: { 200: progressSchema },
    },
    async ({ params: asked, query, principal }) => {
      return { status: 200, body: await known(database, { ...asked, ...query }, principal) };
    },
  );
  router.route(
    {
      method: "get",
      path: `${ITEM}/history`,
      permission: "progress:read",
      summary: `what was told of it, the oldest first; the last ${HISTORY_MAX} lines are kept`,
      params,
      query: z.strictObject({
        ...whose,
        after: countOf(0, 999_999_999).default(0),
        limit: countOf(1, HISTORY_MAX).default(HISTORY_MAX),
      }),
      answers: {
        200: z.object({ workflow_id: z.string(), history: z.array(lineSchema).readonly() }),
      },
    },
    async ({ params: { workflow_id: id }, query, principal }) => {
      const { organization } = query;
      const { key } = await known(database, { workflow_id: id, organization }, principal);
      const history = await readHistory(database, key, query);
      return { status: 200, body: { workflow_id: id, history } };
    },
  );
  router.route(
    {
      method: "get",
      path: `${ITEM}/estimate`,
      permission: "progress:read",
      summary: "when it will probably have ended, or that this is not known",
      params,
      query: z.strictObject(whose),
      answers: { 200: estimateSchema },
    },
    async (call) => {
      const progress = await known(database, { ...call.params, ...call.query }, call.principal);
      const seconds = await readDurations(database, progress, SAMPLES_MAX);
      return { status: 200, body: estimate(progress, seconds, clock.now()) };
    },
  );
  addUpdate(router);
  addSocket(router, deps);
}

function addSocket(router: Router, { database, follow }: ProgressDeps): void {
  router.webSocket(
    {
      path: "/progress/ws",
      permission: "progress:read",
      summary: "each line of its history as it is written, as JSON; closed after the last one",
      query: z.strictObject({
        ...whose,
        workflow_id: workflowIdSchema,
        /** The last line that the client has. */
        after: countOf(0, 999_999_999).default(0),
      }),
    },
    async (call, upgrade) => {
      const { key, status } = await known(database, call.query, call.principal);
      follow.open(upgrade, { key, after: call.query.after, status, principal: call.principal });
    },
  );
}

interface Asked {
  readonly workflow_id: string;
  readonly organization?: string | undefined;
}

/**
 * The caller's own one of that id; for whoever sees all of them also the only tenant's.
 *
 * @throws HttpProblem 404, also for another organization's; 409 when several have it and nobody said whose
 */
async function known(
  database: Queryable,
  { workflow_id: id, organization: wanted }: Asked,
  viewer: Viewer,
): Promise<Progress> {
  const own = await findProgress(database, keyOf(id, wanted ?? viewer.organization), viewer);
  if (own !== undefined) return own;
  const seesAll = viewer.organization === undefined && wanted === undefined;
  const other = seesAll ? await findTenantsWorkflow(database, id) : undefined;
  if (other === "several") {
    const detail = `Several organizations have a workflow ${JSON.stringify(id)}: say ?organization=.`;
    throw new HttpProblem(409, "Conflict", detail);
  }
  if (other !== undefined) return other;
  throw new HttpProblem(404, "Not found", `There is no operation ${JSON.stringify(id)}.`);
}

const updateSchema = z.strictObject({
  workflow_id: workflowIdSchema,
  percent_complete: z.number().min(0).max(100),
  status: statusSchema.default("in_progress"),
  message: oneLineSchema.default(""),
  step: oneLineSchema.max(128).optional(),
  /** Why it failed. */
  error: oneLineSchema.optional(),
  /** What an estimate is made from: earlier ones that were called the same. */
  work_kind: workKindSchema.optional(),
});

function addUpdate(router: Router): void {
  router.route(
    {
      method: "post",
      path: "/progress/update",
      permission: "progress:update",
      summary: "a worker tells how far its workflow is; the first word of it begins it",
      body: updateSchema,
      answers: { 200: progressSchema },
      mutates: { action: "ProgressUpdated", resource: "workflow" },
    },
    async (call) => {
      const { workflow_id: id, percent_complete: percent, status, ...rest } = call.body;
      // Its history has each word; the record, when it began, and each other status.
      let isNews = true;
      const summary = `Told that ${id} is ${status}, ${percent} %`;
      return call.change({ id, summary, isNews: () => isNews }, async (tx) => {
        isNews = (await refuseForeign(tx, call)) !== status;
        const { name: actor, organization } = call.principal;
        const { message, step, error, work_kind: workKind } = rest;
        const { ip } = call;
        const isTold = await tellWorkflow(tx, {
          ...{ id, status, percent, message, step, error, workKind, actor, ip, organization },
        });
        if (!isTold) {
          await refuseForeign(tx, call);
          throw new HttpProblem(409, "Conflict", `${id} was begun by somebody else at once.`);
        }
        return { status: 200, body: await known(tx, call.body, call.principal) };
      });
    },
  );
}

/**
 * @returns its status before; undefined for the first word of it
 * @throws HttpProblem 404 for another organization's, 409 for an operation of the API's own or one that has ended
 */
async function refuseForeign(
  tx: Queryable,
  {
    body,
    principal,
  }: Pick<Call<unknown, unknown, z.output<typeof updateSchema>>, "body" | "principal">,
): Promise<Status | undefined> {
  const { workflow_id: id } = body;
  const before = await lockWorkflow(tx, keyOf(id, principal.organization));
  if (before === undefined) {
    // Names that look like our own ids would be taken for operations.
    if (id.startsWith("op_"))
      throw new HttpProblem(404, "Not found", `There is no operation ${JSON.stringify(id)}.`);
    return undefined;
  }
  await known(tx, body, principal);
  if (before.kind !== "workflow") {
    const detail = `${id} is an operation of this API, which tells its progress itself.`;
    throw new HttpProblem(409, "Conflict", detail);
  }
  if (ENDED.has(before.status))
    throw new HttpProblem(409, "Conflict", `${id} has ended: ${before.status}.`);
  return before.status;
}
