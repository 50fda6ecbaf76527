import type { Response } from "express";
import { HttpProblem } from "../../lib/problem.ts";
import { findRun } from "../ledger.ts";
import { readId, unknownId } from "../pages/read-query.ts";
import type { RunNow } from "../pages/run-watch.ts";
import type { Pages } from "../pages/types.ts";
import type { GuardedRoutes } from "./guarded.ts";

/** Who does not read does not fill our memory. */
const QUEUE_BYTES_MAX = 64 * 1024;
/** Then the browser comes again, and shows again who it is. */
const STREAM_MS_MAX = 600_000;
const RETRY_MS = 5_000;

/** A run's progress as server-sent events: `run` at the beginning and with each change, `end` when there is no more to come. */
export function addStreamRoutes(guarded: GuardedRoutes, { database, watch, clock }: Pages): void {
  guarded.get("/runs/:id/stream", async (request, response, viewer) => {
    const runId = readId(request.params, "run");
    if ((await findRun(runId, database)) === undefined) throw unknownId("run");
    if (response.destroyed) return; // who has left already is never heard to leave
    const latest = new Date(clock.now().getTime() + STREAM_MS_MAX);
    const { until = latest } = viewer;
    const leave = watch.join({
      runId,
      until: until < latest ? until : latest,
      tell: (run) => {
        send(response, eventOf(run));
      },
      beat: () => {
        send(response, ":\n\n");
      },
      end: () => {
        response.end();
      },
    });
    if (leave === undefined)
      throw new HttpProblem(503, "Too many look", "Load the page again to see what is new.", {
        "Retry-After": "30",
      });
    response.on("close", leave);
    response.writeHead(200, {
      "Content-Type": "text/event-stream; charset=utf-8",
      "Cache-Control": "no-store",
      "X-Accel-Buffering": "no", // nginx would keep events back until it has a page of them
    });
    response.write(`retry: ${RETRY_MS}\n\n`);
  });
}

function eventOf(run: RunNow): string {
  const event = `event: run\nid: ${run.version}\ndata: ${JSON.stringify(run)}\n\n`;
  return run.finished ? `${event}event: end\ndata: {}\n\n` : event;
}

/** Whoever reads too slowly is cut off: a browser comes again by itself, and then hears how things are now. */
export function send(
  response: Pick<Response, "writableLength" | "destroy" | "write">,
  text: string,
): void {
  if (response.writableLength + text.length > QUEUE_BYTES_MAX) response.destroy();
  else response.write(text);
}
