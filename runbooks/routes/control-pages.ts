import type { Response } from "express";
import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import { rightOf } from "../approval/authorize.ts";
import { breakerKeyOf, changeBreaker, listBreakers } from "../breaker-control.ts";
import { cancelRun, type CancelOutcome } from "../cancel-run.ts";
import { breakersPage, SAID } from "../pages/breakers.ts";
import { optionalOf, readFields, readId, textField, unknownId } from "../pages/read-query.ts";
import type { Pages } from "../pages/types.ts";
import { retryRun, type RetryOutcome } from "../retry-run.ts";
import { answer } from "./answer.ts";
import type { GuardedRoutes } from "./guarded.ts";

const person = textField(100).refine((text) => text.trim() !== "", "must not be empty");
const reason = textField(500);
/** Checked before. */
const csrf = z.string().optional();

const breakerSchema = z.object({
  csrf,
  key: textField(600),
  by: person,
  reason: reason.refine((text) => text.trim() !== "", "must not be empty"),
});
const saidSchema = z.strictObject({
  said: optionalOf(z.enum(Object.keys(SAID) as (keyof typeof SAID)[], "is not known")),
});
const runActionSchema = z.object({ csrf, by: person, reason: optionalOf(reason) });

/** What people do on the pages: stop things, and start what changes nothing. */
export function addControlRoutes(guarded: GuardedRoutes, pages: Pages): void {
  addBreakerRoutes(guarded, pages);
  guarded.post("/runs/:id/cancel", async (request, response) => {
    const runId = readId(request.params, "run");
    const { by, reason: why } = readFields(runActionSchema, request.body);
    const outcome = await cancelRun({ runId, by, via: "page", reason: why }, pages);
    sayCancelled(outcome);
    seeRun(response, runId, "cancelled");
  });
  guarded.post("/runs/:id/dry-run", async (request, response) => {
    const runId = readId(request.params, "run");
    const { by } = readFields(runActionSchema, request.body);
    const { approvers } = pages.switches;
    const outcome = await retryRun(
      { runId, by, mode: "dry-run", via: "page" },
      { ...pages, approvers },
    );
    seeRun(response, startedOf(outcome), "started");
  });
}

function seeRun(response: Response, runId: string, said: string): void {
  response.redirect(303, `/runs/${encodeURIComponent(runId)}?said=${said}`);
}

/** @throws HttpProblem */
function sayCancelled(outcome: CancelOutcome): void {
  if (outcome.kind === "cancelled") return;
  if (outcome.kind === "not_found") throw unknownId("run");
  const why =
    outcome.kind === "over"
      ? `It has ended: ${outcome.state}.`
      : `It is ${outcome.state}: the cluster may have been called, and what is done cannot be cancelled.`;
  throw new HttpProblem(409, "Not cancelled", why);
}

/** @throws HttpProblem */
function startedOf(outcome: RetryOutcome): string {
  switch (outcome.kind) {
    case "started":
      return outcome.runId;
    case "not_found":
      throw unknownId("run");
    case "not_allowed":
      throw new HttpProblem(403, "Not allowed", outcome.why);
    case "not_over":
      throw new HttpProblem(409, "Not started", `The run goes on: it is ${outcome.state}.`);
    case "nothing_to_do":
      throw new HttpProblem(409, "Not started", `Nothing was started: ${outcome.why}.`);
  }
}

function addBreakerRoutes(guarded: GuardedRoutes, pages: Pages): void {
  const { database, switches, cluster, groups } = pages;
  const { limits, approvers } = switches;
  guarded.get("/breakers", async (request, response, viewer) => {
    const { said } = readFields(saidSchema, request.query);
    const breakers = await listBreakers(database);
    answer(request, response, {
      page: () => breakersPage({ breakers, limits, said }, viewer),
      json: () => ({ limits, breakers }),
    });
  });
  for (const state of ["open", "closed"] as const) {
    const path = state === "open" ? "/breakers/open" : "/breakers/close";
    guarded.post(path, async (request, response) => {
      const { key: named, by, reason: why } = readFields(breakerSchema, request.body);
      if (state === "closed") {
        const right = await rightOf(by, { allowed: approvers, known: approvers }, groups);
        if (right.kind === "may_not")
          throw new HttpProblem(403, "Not allowed", `${by} may not close a breaker: ${right.why}.`);
      }
      const key = keyOf(named, cluster);
      const change = { key, state, by, reason: why, via: "page" } as const;
      const changed = await changeBreaker(change, database);
      const said = changed ? (state === "open" ? "opened" : "closed") : "unchanged";
      response.redirect(303, `/breakers?said=${said}`);
    });
  }
}

/** @throws HttpProblem 400 */
function keyOf(text: string, cluster: string): string {
  try {
    return breakerKeyOf(text, cluster);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new HttpProblem(400, "Bad request", `key: ${error.message}`);
  }
}
