import type { Jobs } from "../lib/jobs.ts";
import type { Enqueue, EnqueueAll } from "./types/intake.ts";

/** The job engine, for those who may only send. */
export function enqueueWith(jobs: Pick<Jobs, "send">): Enqueue {
  return async (tx, queue, data) => jobs.send(tx, queue, data);
}

/** Thousands of jobs cost as many round trips as one. */
export function enqueueAllWith(jobs: Pick<Jobs, "sendAll">): EnqueueAll {
  return async (tx, queue, data) => jobs.sendAll(tx, queue, data);
}
