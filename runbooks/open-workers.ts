import { systemClock } from "../lib/clock.ts";
import type { Jobs } from "../lib/jobs.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { admitDelivery, admitOthers, admitWaitingEpisode, type AdmitDeps } from "./admit.ts";
import { advanceRun } from "./run.ts";
import type { RunDeps } from "./steps/step.ts";
import { sweepUntil } from "./sweep.ts";

interface WorkersDeps {
  readonly database: Database;
  readonly jobs: Jobs;
  readonly log: Log;
  readonly inboxWaiting: (deliveries: number) => void;
}

/** Starts those who take deliveries and runs as they come, and the sweep that finds what is left behind. */
export async function openWorkers(
  { database, jobs, log, inboxWaiting }: WorkersDeps,
  { admitDeps, runDeps }: { readonly admitDeps: AdmitDeps; readonly runDeps: RunDeps },
  stack: StopStack,
): Promise<void> {
  const admit = async (inboxId: string) => admitDelivery(inboxId, admitDeps);
  const admitEpisode = async (episodeId: string) => admitWaitingEpisode(episodeId, admitDeps);
  const advance = async (runId: string) => advanceRun(runId, runDeps);
  await jobs.work<{ inboxId: string }>("runbooks-inbox", async ({ inboxId }) => {
    await admit(inboxId);
    await admitOthers(admitDeps);
  });
  await jobs.work<{ runId: string }>("runbooks-run", async ({ runId }) => advance(runId));

  const stopping = new AbortController();
  const work = { admit, admitEpisode, advance };
  const deps = { database, clock: systemClock, log, inboxWaiting, ...work };
  const sweeping = sweepUntil(stopping.signal, deps);
  stack.add("sweep", async () => {
    stopping.abort();
    await sweeping;
  });
}
