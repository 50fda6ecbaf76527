import { givenRequests, raceClicks } from "../../approve/given-race.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { ACTING, count, givenProcesses } from "../../runbooks/given-processes.ts";
import { percentile, row } from "./figures.ts";

const REQUESTS = 100;
const CLICKS = 64;

/** Two replicas, 100 waiting requests, and 64 people (or impatient fingers) on each at the same moment. */
export async function measureClicks(): Promise<void> {
  const apps = Array.from({ length: REQUESTS }, (_, at) => `app-${at}`);
  const world = await givenProcesses({ replicas: 2, apps, env: ACTING });
  const { database, kubernetes } = world;
  try {
    const approvals = await givenRequests(world, apps);
    const start = performance.now();
    const verdictOf = () => "approve" as const;
    const answers = await raceClicks(world, { approvals, clicks: CLICKS, verdictOf });
    const seconds = (performance.now() - start) / 1000;
    await waitUntil("all to be done", async () => {
      return (await count(database, "runs WHERE state = 'verifying'")) === REQUESTS;
    });

    const patched = kubernetes.mutations().map(({ path }) => path);
    const different = new Set(patched).size;
    const decided = await count(database, "runbooks_audit WHERE event = 'approved'");
    const times = answers.map(({ ms }) => ms);
    row(
      "racing clicks on 100 requests, two replicas",
      answers.length,
      "",
      `in ${seconds.toFixed(1)} s`,
    );
    row("… approvals decided", decided, "", "100");
    row("… Deployments restarted", different, "", "100");
    row("… executed twice", patched.length - different, "", "0");
    row("… click, 99th percentile", percentile(times, 0.99), "ms");
  } finally {
    await world.stop();
  }
}
