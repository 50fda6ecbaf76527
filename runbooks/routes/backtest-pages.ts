import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import { version } from "../../lib/version.ts";
import { actionNames } from "../actions/index.ts";
import { findBacktest, keepBacktest, listBacktests } from "../backtest/kept.ts";
import { parsePolicyFile } from "../backtest/policy-file.ts";
import { backtestPolicy } from "../backtest/replay.ts";
import { backtestPage, backtestsPage } from "../pages/backtests.ts";
import { readFields, readId, textField, unknownId } from "../pages/read-query.ts";
import type { Pages } from "../pages/types.ts";
import { argumentProblem } from "../policy/arguments.ts";
import { policyNow } from "../policy/in-force.ts";
import { parsePolicy, PolicyError } from "../policy/parse.ts";
import type { PolicyDocument } from "../types/policy.ts";
import { answer } from "./answer.ts";
import type { GuardedRoutes } from "./guarded.ts";

const POLICY_MAX = 200_000;
const FORM_LIMIT_BYTES = 3 * POLICY_MAX;
/** Some ten seconds of one core; alerts that come meanwhile are taken between its portions. */
const ALERTS_MAX = 200_000;
const REPORT_BYTES_MAX = 8 * 1024 * 1024;
const DAY_MS = 86_400_000;

const formSchema = z.object({
  csrf: z.string().optional(),
  by: textField(100).refine((text) => text.trim() !== "", "must not be empty"),
  days: z
    .string("must be given once")
    .regex(/^\d{1,2}$/, "must be a number")
    .transform(Number)
    .refine((days) => days >= 1 && days <= 90, "must be from 1 to 90"),
  policy: z
    .string("must be given once")
    .max(POLICY_MAX, `must be at most ${POLICY_MAX} characters`)
    .refine((text) => text.trim() !== "", "must not be empty")
    .refine((text) => !/[\0\p{Cs}]/u.test(text), "must not contain control characters"),
});

export function addBacktestRoutes(guarded: GuardedRoutes, pages: Pages): void {
  const { database } = pages;
  guarded.get("/backtests", async (request, response, viewer) => {
    const kept = await listBacktests(database);
    answer(request, response, {
      page: () => backtestsPage(kept, viewer),
      json: () => ({ backtests: kept }),
    });
  });
  guarded.get("/backtests/:id", async (request, response) => {
    const found = await findBacktest(readId(request.params, "backtest"), database);
    if (found === undefined) throw unknownId("backtest");
    answer(request, response, { page: () => backtestPage(found), json: () => found });
  });

  let running = false;
  guarded.post(
    "/backtests",
    async (request, response) => {
      const form = readFields(formSchema, request.body);
      const policy = readPolicy(form.policy, pages);
      if (running)
        throw new HttpProblem(429, "Busy", "Another backtest is under way; try again.", {
          "Retry-After": "10",
        });
      running = true;
      try {
        const report = await backtest(policy, form.days, pages);
        const id = await keepBacktest({ ...form, report }, database);
        response.redirect(303, `/backtests/${encodeURIComponent(id)}`);
      } finally {
        running = false;
      }
    },
    { limitBytes: FORM_LIMIT_BYTES },
  );
}

/** @throws HttpProblem 400 with key, line and column of every problem */
function readPolicy(text: string, { policyText }: Pages): PolicyDocument {
  try {
    const environment = parsePolicy(policyText, actionNames);
    return parsePolicyFile(text, { environment, actions: actionNames, argumentProblem });
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const problems = error.problems.map((problem) => `policy: ${problem}`);
    throw new HttpProblem(400, "Bad request", problems.slice(0, 20).join("; "));
  }
}

async function backtest(policy: PolicyDocument, days: number, pages: Pages) {
  const { database, policyText, world, history } = pages;
  const { document: against } = await policyNow(database, policyText);
  const { rows } = await database.query<{ now: Date }>("SELECT now()");
  const to = rows[0]?.now.getTime() ?? Number.NaN;
  const report = await backtestPolicy(
    {
      policy,
      against,
      period: { from: to - days * DAY_MS, to },
      world: await world(),
      codeVersion: version,
      onAlerts: (count) => {
        if (count > ALERTS_MAX) throw tooMuch(`more than ${ALERTS_MAX} alerts`);
      },
    },
    history,
  );
  if (JSON.stringify(report).length > REPORT_BYTES_MAX) throw tooMuch("too many apps and days");
  return report;
}

function tooMuch(what: string): HttpProblem {
  return new HttpProblem(
    422,
    "Too much",
    `days: there are ${what} in them. Take fewer, or use fettle backtest policy.`,
  );
}
