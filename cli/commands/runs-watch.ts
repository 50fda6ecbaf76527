import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { parseDuration } from "../../lib/duration.ts";
import { silentLog } from "../../lib/log.ts";
import type { RunEvent } from "../../runbooks/main.ts";
import { plain } from "../as-usage.ts";
import type { Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";

interface WatchOptions {
  readonly timeout: string;
  readonly json?: boolean;
}

/** A run changes every few seconds at most. */
const LOOK_MS = 1_000;
/** Ends that need nobody's hand. */
const WELL: readonly string[] = ["succeeded", "resolved_before_action", "skipped_dry_run"];
/** Nobody knows, or it did not help. */
const BAD: readonly string[] = ["failed", "unknown", "plan_stale"];

/** `fettle runs watch`: a line for each event, until the run has ended. */
export function addRunWatch(runs: Command, context: Context, finish: (code: number) => void): void {
  runs
    .command("watch <run>")
    .description(
      "follow a run to its end. Exit code 0: it helped, or was not needed; 1: it did not help; 3: it was not let",
    )
    .option("--timeout <time>", "how long at most, such as 90s, 15m or 2h", "2h")
    .option("--json", "print a line of JSON for each event, and one for the end")
    .action(async (id: string, options: WatchOptions) => {
      finish(await watch(id, options, context));
    });
}

async function watch(
  id: string,
  { timeout, json }: WatchOptions,
  { env, out }: Context,
): Promise<number> {
  const seconds = parseDuration(timeout);
  if (seconds === undefined || seconds === 0)
    throw new CommandFailure(
      EXIT.usage,
      `--timeout must be a length of time such as 90s, 15m or 2h, got ${JSON.stringify(timeout)}`,
    );
  const until = performance.now() + seconds * 1_000;
  const { watchRun } = await import("../../runbooks/main.ts");
  const end = await watchRun(
    env,
    {
      id,
      tell: (event) => {
        out(json === true ? JSON.stringify(event) : lineOf(event));
      },
      sleep: async () => {
        if (performance.now() > until)
          throw new CommandFailure(EXIT.unavailable, `${id} goes on after ${timeout}`);
        await delay(LOOK_MS);
      },
    },
    silentLog,
  );
  if (end === undefined) throw new CommandFailure(EXIT.notFound, `there is no run ${id}`);
  const { state, outcome } = end;
  const last = `${id}  ${state}${outcome === null ? "" : `: ${outcome}`}`;
  out(json === true ? JSON.stringify({ run: id, state, outcome }) : plain(last));
  if (WELL.includes(state)) return EXIT.ok;
  return BAD.includes(state) ? EXIT.error : EXIT.refused;
}

function lineOf({ ts, event, actor, detail }: RunEvent): string {
  const { why, reason } = detail;
  const more = typeof why === "string" ? why : typeof reason === "string" ? reason : "";
  return plain(`${ts.toISOString()}  ${event}  (${actor})${more === "" ? "" : `  ${more}`}`);
}
