import { waitUntil } from "../../fakes/fettle.ts";
import { givenWorld } from "../../fault/world.ts";
import { row } from "./figures.ts";

const LEASE_SECONDS = 30;

/** kill -9 between the intent and the cluster, and the time until it is done all the same. */
export async function measureTakeover(): Promise<void> {
  const world = await givenWorld("before-cluster-call", {
    RUNBOOK_LEASE_SECONDS: String(LEASE_SECONDS),
  });
  try {
    await world.deliver("firing");
    await waitUntil("the request", async () => (await world.runState()) === "approval_pending");
    await world.approveOnPage();
    await waitUntil("the takeover", async () => (await world.runState()) === "verifying", 90_000);
    const { rows } = await world.database.query<{ ts: Date }>(
      "SELECT ts FROM runbooks_audit WHERE event = 'executed'",
    );
    const died = world.service.deaths[0]?.getTime() ?? Number.NaN;
    const done = rows[0]?.ts.getTime() ?? Number.NaN;
    row(
      "killed (-9) with a lease of 30 s: done by another after",
      (done - died) / 1000,
      "s",
      "≤ 35",
    );
    row("… effects on the cluster", world.kubernetes.mutations().length, "", "1");
  } finally {
    await world.stop();
  }
}
