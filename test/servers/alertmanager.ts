import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { stringify } from "yaml";
import { startServer } from "../../ops/test/server-process.ts";
import { answersOk } from "./http-ready.ts";
import { placeServer, programPath, writePrivate } from "./unprivileged.ts";

/** Either one webhook receiver, or a whole configuration as YAML. */
export type AlertmanagerOptions = (WebhookOptions | { readonly config: string }) & {
  /** Loopback ports on which the members of a cluster talk to each other: its own, and the others'. */
  readonly cluster?: { readonly port: number; readonly peers: readonly number[] };
};

interface WebhookOptions {
  readonly receiverUrl: string;
  readonly bearerToken?: string;
  /** `alertname` unless set. */
  readonly groupBy?: readonly string[];
  /** Durations; short unless set, so that a test need not wait. */
  readonly groupWait?: string;
  readonly groupInterval?: string;
  /** Looked at on group_interval's ticks only, so not an exact multiple of it. */
  readonly repeatInterval?: string;
  readonly sendResolved?: boolean;
  /** 0 sends all. */
  readonly maxAlerts?: number;
}

export interface Alertmanager {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** Starts a real Alertmanager, without its cluster unless asked for. */
export async function startAlertmanager(options: AlertmanagerOptions): Promise<Alertmanager> {
  const place = await placeServer("alertmanager");
  const configPath = join(place.folder, "alertmanager.yml");
  const config = "config" in options ? options.config : stringify(webhookConfig(options));
  await writePrivate(configPath, config, place.account); // holds the bearer token
  await promisify(execFile)(programPath("AMTOOL"), ["check-config", configPath]);

  const url = `http://127.0.0.1:${place.port}`;
  const server = await startServer({
    ...place,
    program: programPath("ALERTMANAGER"),
    args: [
      `--config.file=${configPath}`,
      `--storage.path=${join(place.folder, "data")}`,
      `--web.listen-address=127.0.0.1:${place.port}`,
      ...clusterFlags(options.cluster),
    ],
    ready: () => answersOk(`${url}/-/ready`),
  });
  return { url, stop: () => server.stop() };
}

/** A member waits for those before it as long as the peer timeout says, 15 s unless set. */
function clusterFlags(cluster: AlertmanagerOptions["cluster"]): readonly string[] {
  if (cluster === undefined) return ["--cluster.listen-address="];
  return [
    `--cluster.listen-address=127.0.0.1:${cluster.port}`,
    `--cluster.advertise-address=127.0.0.1:${cluster.port}`,
    ...cluster.peers.map((port) => `--cluster.peer=127.0.0.1:${port}`),
    "--cluster.peer-timeout=1s",
    "--cluster.settle-timeout=1s",
    "--cluster.gossip-interval=50ms",
  ];
}

function webhookConfig(options: WebhookOptions): object {
  return {
    route: {
      receiver: "fettle",
      group_by: options.groupBy ?? ["alertname"],
      group_wait: options.groupWait ?? "0s",
      group_interval: options.groupInterval ?? "2s",
      repeat_interval: options.repeatInterval ?? "1h",
    },
    receivers: [{ name: "fettle", webhook_configs: [webhook(options)] }],
  };
}

function webhook({ receiverUrl, bearerToken, sendResolved, maxAlerts }: WebhookOptions): object {
  return {
    url: receiverUrl,
    send_resolved: sendResolved ?? true,
    max_alerts: maxAlerts ?? 0,
    ...(bearerToken === undefined
      ? {}
      : { http_config: { authorization: { type: "Bearer", credentials: bearerToken } } }),
  };
}
