import { run as showRun, type RunDetail } from "../../../runbooks/main.ts";
import { CommandFailure, EXIT } from "../../exit-code.ts";
import { waitFor } from "../wait.ts";
import type { DemoWorld } from "../world.ts";

const END_SECONDS = 60;

/** Waits for the run's end; the cluster's own request log says what was really done. */
export async function showOutcome(
  { id }: RunDetail,
  { services, kubernetes, narrator, log }: DemoWorld,
): Promise<void> {
  narrator.step("Dry run");
  const ended = await waitFor("the end of the run", END_SECONDS, async () => {
    const found = await showRun(services.env, id, log);
    return found === undefined || found.finishedAt === null ? undefined : found;
  });
  if (ended.state !== "skipped_dry_run") {
    throw new CommandFailure(EXIT.error, `the run ended ${ended.state}: ${ended.outcome ?? ""}`);
  }
  const patches = kubernetes.requests.filter(({ method }) => method === "PATCH");
  const checked = patches.filter(({ dryRun, status }) => dryRun && status === 200);
  for (const { method, path, query, status } of patches) {
    narrator.say(
      `${method} ${path}?${new URLSearchParams(query).toString()} → ${status ?? "no answer"}`,
    );
  }
  // Once before anybody was asked, and once when it was to be done; a step that had to be repeated asks once more.
  if (checked.length < 2)
    throw new CommandFailure(
      EXIT.error,
      `the cluster saw ${checked.length} dry runs instead of two`,
    );
  if (kubernetes.mutations().length !== 0)
    throw new CommandFailure(EXIT.error, "the cluster was changed by a dry run");
  narrator.say(`${ended.outcome ?? ""}; changes in the cluster: ${kubernetes.mutations().length}`);
  narrator.say("audit trail:");
  for (const { ts, event, actor } of ended.audit)
    narrator.say(`  ${ts.toISOString()}  ${event.padEnd(18)}  ${actor}`);
}
