import type { Anomaly } from "../../../detector/main.ts";
import { run as showRun, runs, type RunDetail } from "../../../runbooks/main.ts";
import { CommandFailure, EXIT } from "../../exit-code.ts";
import { waitFor } from "../wait.ts";
import type { DemoWorld } from "../world.ts";

/** Diagnostics may be gathered for 20 s before the decision. */
const PLAN_SECONDS = 90;
/** Before the decision; a look that falls between two steps must not take them for an end. */
const UNDECIDED: ReadonlySet<string> = new Set(["matched", "collecting", "collected"]);

/** Waits until the alert has become a run that asks, and shows what it wants to do and why it may. */
export async function awaitPlan(
  anomaly: Anomaly,
  { services, narrator, log }: DemoWorld,
): Promise<RunDetail> {
  narrator.step("Alert, decision, plan");
  const decided = await waitFor("a run for the alert", PLAN_SECONDS, async () => {
    const [newest] = await runs(services.env, 1, log);
    return newest === undefined || UNDECIDED.has(newest.state) ? undefined : newest;
  });
  const run = await showRun(services.env, decided.id, log);
  if (run === undefined) throw new CommandFailure(EXIT.error, `run ${decided.id} vanished`);
  narrator.say(
    `alert about ${anomaly.metric} delivered, signed, stored and answered; it became ${run.id}`,
  );
  for (const gate of (run.decision as { path?: readonly string[] } | null)?.path ?? [])
    narrator.say(`· ${gate}`);
  if (run.state !== "approval_pending") {
    throw new CommandFailure(
      EXIT.error,
      `the run does not wait for an approval, it is ${run.state}: ${run.outcome ?? ""}`,
    );
  }
  narrator.highlight(run.plan ?? "");
  for (const { severity, about, text } of run.preflight)
    narrator.say(`${severity === "info" ? "✓" : "!"} ${about}: ${text}`);
  return run;
}
