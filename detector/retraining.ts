import { schedule as scheduleCron } from "node-cron";
import { cronLog } from "../lib/cron-log.ts";
import type { Log } from "../lib/log.ts";
import type { ModelInUse } from "./model-in-use.ts";
import type { TrainingOutcome } from "./retraining-process.ts";
import type { TrainingTurns } from "./types/training.ts";

/** A process that was busy, or suspended, for so long trains nevertheless. */
const LATE_MS = 60_000;

/** How a training ended, as it is counted. */
export type RetrainResult = "promoted" | "kept" | "failed";

export interface RetrainingDeps {
  /** Trains, and lets the challenger take over if it is no worse. */
  readonly train: (signal: AbortSignal) => Promise<TrainingOutcome>;
  readonly turns: TrainingTurns;
  readonly model: Pick<ModelInUse, "refresh">;
  readonly metrics: { retrained(result: RetrainResult): void };
  readonly log: Log;
}

export interface Retraining {
  /** Ends the training under way, and waits for its end. */
  stop(): Promise<void>;
}

/** Trains by the cron expression: on one of all replicas, one training at a time. */
export function scheduleRetraining(
  { cron, timeZone }: { readonly cron: string; readonly timeZone: string },
  deps: RetrainingDeps,
): Retraining {
  const stopping = new AbortController();
  let current: Promise<void> = Promise.resolve();
  const task = scheduleCron(
    cron,
    async ({ date }) => {
      current = retrain(date, deps, stopping.signal);
      await current;
    },
    {
      timezone: timeZone,
      name: "retraining",
      noOverlap: true,
      missedExecutionTolerance: LATE_MS,
      logger: cronLog(deps.log),
    },
  );
  return {
    stop: async () => {
      await task.destroy();
      stopping.abort();
      await current;
      await deps.turns.close();
    },
  };
}

/** turn → train → count and tell → take the promoted model over. Never rejects: the old model stays, the next night is the retry. */
async function retrain(due: Date, deps: RetrainingDeps, signal: AbortSignal): Promise<void> {
  const { turns, train, model, metrics, log } = deps;
  try {
    const turn = await turns.take(due, async () => train(signal));
    if (turn.kind === "taken") {
      log.info("retraining is another replica's", { due });
      return;
    }
    const { promoted, sha256, rows, masked, masks, comparison } = turn.result;
    metrics.retrained(promoted ? "promoted" : "kept");
    const { why } = comparison;
    log.info("retrained", {
      due,
      promoted,
      why,
      sha256,
      rows,
      masked,
      windows_masked: masks.windows,
    });
    if (promoted) await model.refresh();
  } catch (error) {
    if (signal.aborted) return;
    metrics.retrained("failed");
    log.warn("retraining failed, the model in use stays", { due, error });
  }
}
