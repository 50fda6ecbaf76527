import { z } from "zod";
import { killedBy } from "../kill-switch.ts";
import { policyPage, trialPage, type PolicyPage, type TriedAlert } from "../pages/policy.ts";
import { readAlerts } from "../pages/read-alerts.ts";
import { optionalOf, readFields, textField } from "../pages/read-query.ts";
import type { Pages } from "../pages/types.ts";
import { explain, rulesFor } from "../policy/explain.ts";
import { policyNow } from "../policy/in-force.ts";
import { tryAlert } from "../try-alert.ts";
import { answer } from "./answer.ts";
import type { GuardedRoutes } from "./guarded.ts";

const TEXT_MAX = 200_000;
/** Form encoding makes up to three bytes of a character's byte. */
const FORM_LIMIT_BYTES = 3 * TEXT_MAX;
const ALERTS_MAX = 10;

const questionSchema = z
  .strictObject({
    namespace: optionalOf(textField(100)),
    app: optionalOf(textField(253)),
    trigger: optionalOf(textField(200)),
    reason: optionalOf(textField(200)),
  })
  .refine(({ namespace, app }) => (namespace === undefined) === (app === undefined), {
    path: ["app"],
    message: "must be given with namespace",
  })
  .refine(({ namespace, trigger }) => trigger === undefined || namespace !== undefined, {
    path: ["namespace"],
    message: "must be given with trigger",
  });

const trySchema = z.object({
  csrf: z.string().optional(),
  alert: z
    .string("must be given")
    .min(1, "must not be empty")
    .max(TEXT_MAX, `must be at most ${TEXT_MAX} characters`),
});

export function addPolicyRoutes(guarded: GuardedRoutes, pages: Pages): void {
  guarded.get("/policy", async (request, response, viewer) => {
    const shown = await answerOf(readFields(questionSchema, request.query), pages);
    answer(request, response, {
      page: () => policyPage(shown, viewer),
      json: () => policyJson(shown),
    });
  });
  guarded.post(
    "/policy/try",
    async (request, response, viewer) => {
      const { alert: text } = readFields(trySchema, request.body);
      const { facts, catalog, cluster, database } = pages;
      const { rows } = await database.query<{ now: Date }>("SELECT now()");
      const now = rows[0]?.now ?? new Date(Number.NaN);
      const { alerts, truncated } = readAlerts(text, now);
      const deps = { facts, cluster, now, catalog: await catalog() };
      const trials: TriedAlert[] = [];
      for (const [at, alert] of alerts.slice(0, ALERTS_MAX).entries()) {
        const name = new Map(Object.entries(alert.labels)).get("alertname") ?? `alert ${at + 1}`;
        trials.push({ name, trial: await tryAlert(alert, truncated, deps) });
      }
      const hidden = alerts.length - trials.length;
      answer(request, response, {
        page: () => trialPage({ text, trials, hidden }, viewer),
        json: () => ({ trials, hidden }),
      });
    },
    { limitBytes: FORM_LIMIT_BYTES },
  );
}

async function answerOf(
  question: z.output<typeof questionSchema>,
  { database, policyText }: Pages,
): Promise<PolicyPage> {
  const inForce = await policyNow(database, policyText);
  const { namespace, app, trigger, reason = "" } = question;
  if (namespace === undefined || app === undefined) {
    const rules = inForce.document.entries.flatMap(({ key, rules: own }) =>
      own.map((rule) => ({ key, rule })),
    );
    return { inForce, question, rules, explanation: undefined, killed: null };
  }
  const place = { namespace, app };
  return {
    inForce,
    question,
    rules: rulesFor(inForce.document, place),
    explanation:
      trigger === undefined ? undefined : explain(inForce.document, place, trigger, reason),
    killed: await killedBy(place, database),
  };
}

/** Members are added, never renamed or taken away. */
function policyJson({ inForce, question, rules, explanation, killed }: PolicyPage) {
  const { document, readAt, problem } = inForce;
  return {
    version: document.sha256,
    source: document.source,
    readAt: readAt ?? null,
    problem: problem ?? null,
    question,
    rules,
    explanation: explanation ?? null,
    killed,
  };
}
