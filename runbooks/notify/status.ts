import type { RunState } from "../types/run.ts";
import type { RunNews } from "./compose.ts";
import { clockOf, label } from "./words.ts";

/** The first words of what is said about a run. */
export function titleOf({ run }: RunNews): string {
  return TITLES.get(run.state) ?? "Run";
}

const TITLES: ReadonlyMap<string, string> = new Map([
  ["approval_pending", "Approval needed"],
  ["approved", "Approved"],
  ["intent", "Executing"],
  ["verifying", "Verifying"],
  ["succeeded", "Helped"],
  ["failed", "Did not help"],
  ["unknown", "Please look"],
  ["rejected", "Rejected"],
  ["expired", "Expired"],
  ["cancelled", "Cancelled"],
  ["plan_stale", "Plan changed"],
  ["resolved_before_action", "Resolved by itself"],
  ["skipped_dry_run", "Dry run done"],
  ["skipped_circuit", "Not done, breaker"],
  ["skipped_max_unhealthy", "Not done, too much is sick"],
  ["skipped_truncated", "Not done, extent unknown"],
  ["skipped_disabled", "Not done, switched off"],
]);

/** The life cycle in one line; empty while nobody has answered. */
export function statusOf(news: RunNews): string {
  const { run, outcome } = news;
  const why = outcome === undefined ? "" : `: ${outcome}`;
  return (STATUSES.get(run.state) ?? plainly)(news, why);
}

type Status = (news: RunNews, why: string) => string;

const plainly: Status = ({ run }, why) => `${run.state.replaceAll("_", " ")}${why}`;

const STATUSES: ReadonlyMap<RunState, Status> = new Map<RunState, Status>([
  [
    "approval_pending",
    ({ approval }) =>
      approval === undefined || approval.quorum < 2
        ? ""
        : `${approval.votes.length} of ${approval.quorum} people said yes`,
  ],
  ["approved", (news) => `approved by ${decidedBy(news)}`],
  ["intent", (news) => `approved by ${decidedBy(news)}, executing${stepOf(news)}`],
  [
    "verifying",
    (news) =>
      `approved by ${decidedBy(news)}, done; verifying since ${clockOf(news.run.stateSince)}`,
  ],
  ["succeeded", (_news, why) => `Helped${why}`],
  ["failed", (_news, why) => `Did not help${why}. A person should look.`],
  ["unknown", (_news, why) => `Nobody knows whether it helped${why}. A person must look.`],
  ["rejected", (news) => `rejected by ${decidedBy(news)}${reasonOf(news)}`],
  ["expired", () => "Nobody answered in time: rejected"],
  ["plan_stale", (_news, why) => `The target changed since you were asked; nothing was done${why}`],
  ["resolved_before_action", () => "Resolved by itself; nothing was done"],
  [
    "skipped_dry_run",
    (news, why) => `Dry run, approved by ${decidedBy(news)}: nothing was changed${why}`,
  ],
]);

/** How far an action is that goes pod by pod. */
function stepOf({ run: { plan, progress } }: RunNews): string {
  if (plan?.effect.kind !== "evict") return "";
  const { evicted } = progress;
  return ` ${Array.isArray(evicted) ? evicted.length : 0}/${plan.effect.pods.length}`;
}

function reasonOf({ approval }: RunNews): string {
  return approval?.reason === undefined ? "" : `: ${approval.reason}`;
}

function decidedBy({ approval }: RunNews): string {
  if (approval?.decidedBy === undefined) return "the policy";
  const when = approval.decidedAt === undefined ? "" : ` ${clockOf(approval.decidedAt)}`;
  return `${label(approval.decidedBy)}${when}`;
}
