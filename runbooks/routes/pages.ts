import type { Express } from "express";
import { HttpProblem } from "../../lib/problem.ts";
import { findApproval } from "../approval/answer.ts";
import { findHeldBundle } from "../collect/find.ts";
import { composeRun } from "../notify/compose.ts";
import { approvalJson, approvalPage } from "../pages/approval.ts";
import { approvalsPage } from "../pages/approvals.ts";
import { approvalFilterSchema, findApprovals } from "../pages/facts/find-approvals.ts";
import { findRuns, runFilterSchema } from "../pages/facts/find-runs.ts";
import { runFacts } from "../pages/facts/run-facts.ts";
import type { Pages } from "../pages/types.ts";
import { readFields, readId, unknownId } from "../pages/read-query.ts";
import { runJson, runPage } from "../pages/run.ts";
import { saidSchema } from "../pages/run-actions.ts";
import { runsPage } from "../pages/runs.ts";
import { overviewFacts } from "../pages/facts/overview-facts.ts";
import { overviewPage } from "../pages/overview.ts";
import { allowOwnConnections, answer, problemPages, unknownPage } from "./answer.ts";
import { guardedRoutes, type GuardedRoutes } from "./guarded.ts";
import { addAuditRoutes } from "./audit-pages.ts";
import { addBacktestRoutes } from "./backtest-pages.ts";
import { addControlRoutes } from "./control-pages.ts";
import { addPolicyRoutes } from "./policy-pages.ts";
import { addSignInRoutes } from "./sign-in.ts";
import { addStreamRoutes } from "./stream.ts";

export interface PageRouteDeps {
  /** Undefined where nobody is to look. */
  readonly pages?: Pages | undefined;
}

/** What people see. After all other routes: what nobody else has answered is an unknown page. */
export function addPageRoutes(app: Express, { pages }: PageRouteDeps): void {
  if (pages === undefined) return;
  const guarded = guardedRoutes(app, pages.access);
  addSignInRoutes(app, guarded, pages);
  addOverviewRoute(guarded, pages);
  addRunRoutes(guarded, pages);
  addBundleRoute(guarded, pages);
  addStreamRoutes(guarded, pages);
  addQuestionRoutes(guarded, pages);
  addAuditRoutes(guarded, pages);
  addControlRoutes(guarded, pages);
  addPolicyRoutes(guarded, pages);
  addBacktestRoutes(guarded, pages);
  app.use(unknownPage);
  app.use(problemPages(pages.access, pages.log));
}

function addOverviewRoute(guarded: GuardedRoutes, { database, switches, redis }: Pages): void {
  guarded.get("/", async (request, response, viewer) => {
    const facts = await overviewFacts(database);
    const { enabled, dryRun, requireApproval } = switches;
    const settings = { enabled, dryRun, requireApproval, redis };
    answer(request, response, {
      page: () => overviewPage(facts, settings, viewer),
      json: () => ({ settings, ...facts }),
    });
  });
}

function addRunRoutes(guarded: GuardedRoutes, { database }: Pages): void {
  guarded.get("/runs", async (request, response) => {
    const filter = readFields(runFilterSchema, request.query);
    const found = await findRuns(filter, database);
    answer(request, response, {
      page: () => runsPage(found, filter),
      json: () => ({ runs: found.runs, next: found.next ?? null }),
    });
  });
  guarded.get("/runs/:id", async (request, response, viewer) => {
    const { said } = readFields(saidSchema, request.query);
    const run = await runFacts(readId(request.params, "run"), database);
    if (run === undefined) throw unknownId("run");
    allowOwnConnections(response);
    answer(request, response, {
      page: () => runPage(run, viewer, said),
      json: () => runJson(run),
    });
  });
}

function addBundleRoute(guarded: GuardedRoutes, { database }: Pages): void {
  guarded.get("/runs/:id/diagnostics.tar.gz", async (request, response) => {
    const id = readId(request.params, "run");
    const bundle = await findHeldBundle(id, database);
    if (bundle === undefined)
      throw new HttpProblem(404, "No bundle", "The database does not keep it, or not any more.");
    response
      .set("Cache-Control", "no-store")
      .set("Content-Disposition", `attachment; filename="${id}.tar.gz"`)
      .type("application/gzip")
      .send(bundle);
  });
}

function addQuestionRoutes(guarded: GuardedRoutes, { database }: Pages): void {
  guarded.get("/approvals", async (request, response) => {
    const filter = readFields(approvalFilterSchema, request.query);
    const found = await findApprovals(filter, database);
    answer(request, response, {
      page: () => approvalsPage(found, filter),
      json: () => ({ approvals: found.approvals, next: found.next ?? null }),
    });
  });
  guarded.get("/approvals/:id", async (request, response, viewer) => {
    const id = readId(request.params, "request");
    const approval = await findApproval(id, database);
    const news = approval && (await composeRun(approval.runId, database));
    if (approval === undefined || news === undefined) throw unknownId("request");
    const question = { approval, news };
    answer(request, response, {
      page: () => approvalPage(question, viewer),
      json: () => approvalJson(question),
    });
  });
}
