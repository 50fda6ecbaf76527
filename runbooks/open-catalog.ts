import { Counter, type Registry } from "prom-client";
import type { Clock } from "../lib/clock.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { parseCatalog, readCatalog } from "./catalog/load.ts";
import type { Runbook } from "./types/intake.ts";

interface CatalogDeps {
  readonly registry: Registry;
  readonly clock: Pick<Clock, "sleep">;
  readonly log: Log;
}

/** Contents are compared, not dates: a mounted ConfigMap changes by a symbolic link. */
const LOOK_MS = 10_000;

/**
 * The catalogue in a file, followed as the file changes. A file that cannot be read any more, or that has a fault, leaves
 * the last good catalogue in force.
 *
 * @throws CatalogError when there is no good one at the start
 */
export async function openCatalog(
  path: string,
  { registry, clock, log }: CatalogDeps,
  stack: StopStack,
): Promise<{ readonly runbooks: () => readonly Runbook[] }> {
  const failed = new Counter({
    name: "runbooks_reload_failed_total",
    help: "New versions of the runbook catalogue that could not be read",
    registers: [registry],
  });
  let text: string | undefined = await readCatalog(path);
  let runbooks = parseCatalog(text, path);

  const look = async () => {
    const before = text;
    try {
      text = await readCatalog(path);
      if (text === before) return;
      runbooks = parseCatalog(text, path);
      log.info("runbooks reloaded", { path, runbooks: runbooks.length });
    } catch (error) {
      failed.inc();
      log.error("runbooks cannot be read: the last good ones stay in force", { path, error });
    }
  };
  const stopping = new AbortController();
  const following = (async () => {
    for (;;) {
      await clock.sleep(LOOK_MS, stopping.signal);
      if (stopping.signal.aborted) return;
      await look();
    }
  })();
  stack.add("runbook catalogue", async () => {
    stopping.abort();
    await following;
  });
  return { runbooks: () => runbooks };
}
