import type { Backtest, ReplayedEpisode, Training } from "../../detector/main.ts";
import { table } from "../table.ts";

/** An episode as scripts read it: times as RFC 3339. */
export function summaryOf({ openedAt, publishedAt, closedAt, cause, episode }: ReplayedEpisode) {
  const time = (t: number | undefined) => (t === undefined ? null : new Date(t).toISOString());
  const { naming, opening, peak } = episode;
  return {
    openedAt: time(openedAt),
    publishedAt: time(publishedAt),
    closedAt: time(closedAt),
    cause: cause ?? null,
    reason: naming.reason,
    direction: naming.direction,
    score: peak,
    value: opening.value,
    baseline: opening.baseline,
  };
}

export function episodeTable(
  episodes: readonly (readonly [series: string, episode: ReplayedEpisode])[],
): string {
  const rows = episodes.map(([series, episode]) => {
    const { openedAt, closedAt, cause, reason, direction, score, value, baseline } =
      summaryOf(episode);
    const end = closedAt === null ? "still open" : `${closedAt} (${cause ?? ""})`;
    return [
      openedAt ?? "",
      end,
      `${reason} ${direction}`,
      score.toFixed(2),
      `${baseline.toPrecision(4)} → ${value.toPrecision(4)}`,
      series,
    ];
  });
  return table(["OPENED", "CLOSED", "REASON", "SCORE", "VALUE", "SERIES"], rows);
}

export function judgementTable(judgement: Backtest["judgement"]): string {
  const { labelled } = judgement;
  const percent = (share: number | undefined) =>
    share === undefined ? "–" : `${(100 * share).toFixed(0)} %`;
  const rows = [
    ["series", String(judgement.series)],
    ["points", String(judgement.points)],
    ["alerts", String(judgement.alerts)],
    ["alerts per day", judgement.alertsPerDay.toFixed(2)],
    ...Object.entries(judgement.byReason).map(([reason, count]) => [`  ${reason}`, String(count)]),
    ...(labelled === undefined
      ? []
      : [
          ["precision", percent(labelled.precision)],
          ["recall", `${percent(labelled.recall)} (${labelled.found} of ${labelled.windows})`],
          [
            "median delay",
            labelled.medianDelaySeconds === undefined ? "–" : `${labelled.medianDelaySeconds} s`,
          ],
        ]),
  ];
  return table(["", ""], rows);
}

export function describeTraining(
  { sha256, rows, masked, masks, comparison, promoted }: Training,
  compareOnly: boolean,
): string {
  const { champion, challenger, planted, series, promote, why } = comparison;
  const ending = promoted
    ? "It takes over."
    : promote && compareOnly
      ? "It would take over."
      : "It does not take over.";
  return [
    `challenger ${sha256.slice(0, 12)}: ${rows} rows learned, ${masked} left out (${masks.windows} masked windows)`,
    table(
      ["MODEL", "PLANTED INCIDENTS FOUND", "ALERTS OTHERWISE"],
      [
        ["champion", `${champion.found} of ${planted}`, String(champion.alerts)],
        ["challenger", `${challenger.found} of ${planted}`, String(challenger.alerts)],
      ],
    ),
    `compared on ${series} series: ${why}. ${ending}`,
  ].join("\n");
}
