import type { Proposal } from "../../detector/main.ts";
import { table } from "../table.ts";
import { summaryOf } from "./detector-tables.ts";

type ChangedAlert = Proposal["lost"][number];

/** A proposal as scripts read it. */
export function proposalView({ lost, gained, ...rest }: Proposal) {
  const view = ({ metric, series, label, episode }: ChangedAlert) => ({
    ...{ metric, series, label: label ?? null },
    ...summaryOf(episode),
  });
  return { ...rest, lost: lost.map(view), gained: gained.map(view) };
}

/** A proposal as people read it: both thresholds beside each other, and the alerts that make the difference. */
export function describeProposal({ labels, current, proposed, lost, gained }: Proposal): string {
  const { real, falsePositive, expectedChange, notReplayable } = labels;
  const head =
    `labels: ${real} real, ${falsePositive} false positive ` +
    `(not counted: ${expectedChange} expected changes, ${notReplayable} that cannot be replayed)`;
  if (proposed.threshold === current.threshold) {
    return `${head}\n${comparison([current])}\nThe labels do not speak for another threshold. Nothing was changed.`;
  }
  return [
    head,
    comparison([current, proposed]),
    changes("lost", lost),
    changes("gained", gained),
    `Nothing was changed. To take it: AIOPS_SCORE_THRESH=${proposed.threshold}`,
  ].join("\n");
}

function comparison(records: readonly Proposal["current"][]): string {
  const percent = (share: number | undefined) =>
    share === undefined ? "–" : `${(100 * share).toFixed(0)} %`;
  const rows: readonly (readonly [string, (record: Proposal["current"]) => string])[] = [
    ["threshold", ({ threshold }) => String(threshold)],
    ["alerts", ({ alerts }) => String(alerts)],
    ["alerts per day", ({ alertsPerDay }) => alertsPerDay.toFixed(2)],
    ["real ones raised", ({ real }) => String(real)],
    ["false positives raised", ({ falsePositive }) => String(falsePositive)],
    ["precision on labels", ({ precision }) => percent(precision)],
    ["recall on labels", ({ recall }) => percent(recall)],
  ];
  return table(
    ["", "IN USE", "PROPOSED"].slice(0, 1 + records.length),
    rows.map(([name, value]) => [name, ...records.map(value)]),
  );
}

function changes(what: "lost" | "gained", alerts: readonly ChangedAlert[]): string {
  if (alerts.length === 0) return `alerts ${what}: none`;
  const rows = alerts.map(({ metric, series, label, episode }) => {
    const { openedAt, reason, direction, score } = summaryOf(episode);
    const cells = [openedAt ?? "", `${reason} ${direction}`, score.toFixed(2), label ?? ""];
    return [...cells, `${metric} ${series}`];
  });
  return `alerts ${what}:\n${table(["OPENED", "REASON", "SCORE", "LABEL", "SERIES"], rows)}`;
}
