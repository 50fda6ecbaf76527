import { silentLog } from "../../lib/log.ts";
import type { ShadowLine } from "../../runbooks/main.ts";
import type { AddCommands } from "../context.ts";
import { groupOf } from "../group.ts";
import { parsePeriod } from "../period.ts";
import { table } from "../table.ts";

/** `fettle report shadow`: what lines in shadow mode would have done, and what happened anyway. */
export const addShadowCommands: AddCommands = (program, context) => {
  groupOf(program, "report", "what the record says about a time")
    .command("shadow")
    .description("what lines in shadow mode would have done, and what happened anyway")
    .option("--from <time>", "begin: a time, or an age such as 7d", "7d")
    .option("--to <time>", "end", "now")
    .option("--json", "print JSON")
    .action(async (options: { from: string; to: string; json?: boolean }) => {
      const period = parsePeriod(options, Date.now());
      const { shadow } = await import("../../runbooks/main.ts");
      const lines = await shadow(context.env, period, silentLog);
      context.out(options.json === true ? JSON.stringify(lines) : describe(lines));
    });
};

function describe(lines: readonly ShadowLine[]): string {
  if (lines.length === 0) return "No line in shadow mode was asked in this time.";
  const header = [
    "KEY",
    "LINE",
    "RUNS",
    "SAME BY A PERSON",
    "SOMETHING ELSE",
    "UNKNOWN",
    "MEDIAN",
    "RESOLVED BY ITSELF",
  ];
  return table(
    header,
    lines.map((line) => [
      line.key,
      line.text,
      String(line.runs),
      String(line.sameByPerson),
      String(line.somethingElse),
      String(line.unknown),
      line.medianSeconds === null ? "-" : `${(line.medianSeconds / 60).toFixed(1)} min`,
      shareText(line.selfResolved),
    ]),
  );
}

function shareText({ count, of, low, high }: ShadowLine["selfResolved"]): string {
  if (of === 0) return "no case is known";
  const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
  return `${count} of ${of} (${percent(low)} to ${percent(high)} at 95 %)`;
}
