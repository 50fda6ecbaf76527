import { hasten } from "../../ops/prometheus/hasten.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startPrometheus } from "../servers/prometheus.ts";
import { targetOf, type Ports } from "./given-services.ts";
import { USERS_RULE, type Trouble } from "./given-trouble.ts";

/** Alerts are there within some seconds; a busy machine may need many times that. */
const PATIENCE_MS = 90_000;
const ALWAYS = "Watchdog";

/** A Prometheus with our rules that scrapes everything, itself and Alertmanager included. */
export interface Watching {
  readonly url: string;
  /**
   * Waits until they have fired, since the last such wait.
   *
   * @param meanwhile done again and again until then
   * @returns those that did not, and what of those that fire people could not read
   */
  readonly silentOf: (
    wanted: readonly string[],
    meanwhile?: (round: number) => Promise<void>,
  ) => Promise<readonly string[]>;
  /** Waits until only the watchdog fires. @returns those that fire then */
  readonly firingAtTheEnd: () => Promise<readonly string[]>;
  /** All that have ever fired. */
  readonly toldInAll: () => Promise<readonly string[]>;
  readonly stop: () => Promise<void>;
}

export async function startWatching({
  rules,
  trouble,
  ports,
  alertmanagerUrl,
}: {
  readonly rules: readonly string[];
  readonly trouble: Trouble;
  readonly ports: Ports;
  readonly alertmanagerUrl: string;
}): Promise<Watching> {
  const beganAt = performance.now();
  const { url, stop } = await startPrometheus({
    alertmanagerUrl,
    history: trouble.history,
    rules: [...rules.map((text) => soon(hasten(text))), USERS_RULE],
    scrape: [
      { job: "backend", target: trouble.target, metricsPath: "/backend" },
      { job: "others", target: trouble.target, metricsPath: "/others" },
      { job: "detector", target: targetOf(ports, "detector") },
      { job: "runbooks-receiver", target: targetOf(ports, "receiver") },
      { job: "runbooks-executor", target: targetOf(ports, "executor") },
      { job: "exporter", target: targetOf(ports, "exporter") },
      { job: "hypervisor", discoveryUrl: trouble.discoveryOf(targetOf(ports, "hypervisor")) },
      { job: "alertmanager", target: new URL(alertmanagerUrl).host },
      { job: "prometheus", discoveryUrl: trouble.discoveryOfWatcher },
    ],
  });
  trouble.watcherIs(new URL(url).host);
  let stageBeganAt = beganAt;
  return {
    ...{ url, stop },
    silentOf: async (wanted, meanwhile = async () => undefined) => {
      let missing = wanted;
      let round = 0;
      await patiently(async () => {
        await meanwhile(round++);
        const told = await toldSince(stageBeganAt, url);
        missing = wanted.filter((name) => !told.includes(name));
        return missing.length === 0;
      });
      stageBeganAt = performance.now();
      return [...missing, ...(await unreadable(url))];
    },
    firingAtTheEnd: async () => {
      let now: readonly string[] = [];
      await patiently(async () => {
        now = await alertsBy('ALERTS{alertstate="firing"}', url);
        return now.length === 1 && now[0] === ALWAYS;
      });
      stageBeganAt = performance.now();
      return now;
    },
    toldInAll: async () => toldSince(beganAt, url),
  };
}

/** Whoever asks says what is missing, which is more than that it was waited for in vain. */
async function patiently(look: () => Promise<boolean>): Promise<void> {
  await waitUntil("alerts", look, PATIENCE_MS).catch(() => undefined);
}

/** The one time that a service keeps to itself, so that it cannot be set back: when it last read the policy. */
function soon(text: string): string {
  return text.replace(
    "runbooks_policy_read_timestamp_seconds > 300",
    "runbooks_policy_read_timestamp_seconds > 1",
  );
}

/** Prometheus remembers those too that fired for some seconds only. */
async function toldSince(at: number, url: string): Promise<readonly string[]> {
  const seconds = Math.ceil((performance.now() - at) / 1000);
  return alertsBy(`last_over_time(ALERTS{alertstate="firing"}[${seconds}s])`, url);
}

async function alertsBy(series: string, url: string): Promise<readonly string[]> {
  const query = new URLSearchParams({ query: `count by (alertname) (${series})` });
  const { result } = await ask<{
    result: readonly { readonly metric: { readonly alertname: string } }[];
  }>(`${url}/api/v1/query?${query.toString()}`);
  return result.map(({ metric }) => metric.alertname);
}

/** A template that cannot be filled in is no failure for Prometheus: it tells the error, or "no value", at night. */
async function unreadable(url: string): Promise<readonly string[]> {
  const { alerts } = await ask<{
    alerts: readonly { readonly annotations: Readonly<Record<string, string>> }[];
  }>(`${url}/api/v1/alerts`);
  const texts = alerts.flatMap(({ annotations }) => Object.values(annotations));
  return texts.filter((text) => /<error|no value|^\s*$/i.test(text));
}

async function ask<T>(url: string): Promise<T> {
  return ((await (await fetch(url)).json()) as { readonly data: T }).data;
}
