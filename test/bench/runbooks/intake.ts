import { setTimeout as sleep } from "node:timers/promises";
import { waitUntil, type FettleProcess } from "../../fakes/fettle.ts";
import { sender, type Answer } from "../../fakes/sender.ts";
import {
  count,
  frameOf,
  givenProcesses,
  memoryOf,
  PROCESS_TOKEN,
  type GivenProcesses,
} from "../../runbooks/given-processes.ts";
import { metricOf, percentile, row } from "./figures.ts";

const CONNECTIONS = [1, 8, 64];
const SECONDS = 10;
/** What Alertmanager usually sends: a group. */
const ALERTS_EACH = 10;
const STORM_WEBHOOKS = 1_000;
const STORM_MS = 10_000;
const BIG = 5_000;

/** Accepted alerts a second, and how long their senders wait, by the number of connections. */
export async function measureAcks(): Promise<void> {
  for (const connections of CONNECTIONS) {
    const world = await givenProcesses();
    try {
      const { answers, seconds } = await push(world, connections);
      const times = answers.map(({ ms }) => ms);
      const accepted = answers.filter(({ status }) => status === 202).length;
      const name = `${connections} connections`;
      row(`${name}: accepted alerts`, (accepted * ALERTS_EACH) / seconds, "a second");
      row(`${name}: answer, median`, percentile(times, 0.5), "ms");
      row(`${name}: answer, 99th percentile`, percentile(times, 0.99), "ms");
      row(`${name}: not accepted`, answers.length - accepted, "webhooks", "0");
    } finally {
      await world.stop();
    }
  }
}

async function push({ services: [service] }: GivenProcesses, connections: number) {
  const url = `${service.url}/alertmanager`;
  const answers: Answer[] = [];
  const start = performance.now();
  const end = start + SECONDS * 1000;
  await Promise.all(
    Array.from({ length: connections }, async (_, at) => {
      const one = sender(1);
      for (let number = 0; performance.now() < end; number += 1)
        answers.push(
          await one.json(url, frameOf(`push-${at}-${number}`, ALERTS_EACH), PROCESS_TOKEN),
        );
      one.close();
    }),
  );
  return { answers, seconds: (performance.now() - start) / 1000 };
}

/** A storm of webhooks, and one very large one: nothing is lost, and the process stays small and awake. */
export async function measureStorms(): Promise<void> {
  const world = await givenProcesses();
  const [service] = world.services;
  const url = `${service.url}/alertmanager`;
  const many = sender();
  try {
    await metricOf(service, "nodejs_eventloop_lag_p99_seconds"); // from now on
    const deliveries = Array.from({ length: STORM_WEBHOOKS }, async (_, at) => {
      await sleep((at * STORM_MS) / STORM_WEBHOOKS);
      return many.json(url, frameOf(`storm-${at}`, ALERTS_EACH), PROCESS_TOKEN);
    });
    const answers = await Promise.all(deliveries);
    const looked = await settle(world);
    const times = answers.map(({ ms }) => ms);
    const accepted = answers.filter(({ status }) => status === 202).length * ALERTS_EACH;
    const stored = await count(world.database, "episodes");
    row("10,000 alerts in 10 s: accepted", accepted, "", "10,000");
    row("… accepted and lost", accepted - stored, "", "0");
    row("… answer, median", percentile(times, 0.5), "ms");
    row("… answer, 99th percentile", percentile(times, 0.99), "ms", "≤ 500");
    row("… longest answer", Math.max(...times), "ms");
    row("… all looked at after the last", looked, "ms");
    await memoryAndLoop(service);

    const body = frameOf("big", BIG, { description: "x".repeat(600) });
    row("one webhook of 5,000 alerts: size", body.length / 1024 / 1024, "MiB");
    const answer = await many.json(url, body, PROCESS_TOKEN);
    const bigLooked = await settle(world);
    const kept = await count(world.database, "episodes WHERE fingerprint LIKE 'big-%'");
    row("… lost", (answer.status === 202 ? BIG : 0) - kept, "", "0");
    row("… answer", answer.ms, "ms", "≤ 500");
    row("… all looked at after it", bigLooked, "ms");
    await memoryAndLoop(service);
  } finally {
    many.close();
    await world.stop();
  }
}

async function memoryAndLoop(service: FettleProcess): Promise<void> {
  const p99 = await metricOf(service, "nodejs_eventloop_lag_p99_seconds");
  row("… event loop late, 99th percentile", p99 * 1000, "ms", "≤ 100");
  row("… largest resident memory until now", (await memoryOf(service)).peak, "MiB", "≤ 400");
}

/** Until every delivery was looked at. Returns how long that took, in milliseconds. */
async function settle({ database }: GivenProcesses): Promise<number> {
  const start = performance.now();
  await waitUntil(
    "all to be looked at",
    async () => {
      return (await count(database, "inbox WHERE processed_at IS NULL")) === 0;
    },
    120_000,
  );
  return performance.now() - start;
}
