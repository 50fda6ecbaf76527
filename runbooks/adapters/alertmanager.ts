import { z } from "zod";
import { alertSchema } from "../../lib/contracts.ts";
import type { Secret } from "../../lib/secret.ts";
import type { ActiveAlerts } from "../reconcile.ts";

const TIMEOUT_MS = 10_000;
/** Some 60,000 alerts. */
const ANSWER_MAX_BYTES = 64 * 1024 * 1024;

const statusSchema = z.object({ uptime: z.iso.datetime({ offset: true }) });
const listSchema = z.array(
  alertSchema
    .pick({ labels: true, annotations: true, startsAt: true })
    .extend({ fingerprint: z.string().min(1).max(128), status: z.object({ state: z.string() }) }),
);

/**
 * Alertmanager's API, version 2. Silenced and inhibited alerts are asked for as well: they fire, and their end must not be
 * concluded from their absence.
 *
 * @param receiver the name of ours: other receivers' alerts are not for us
 */
export function alertmanagerAlerts(options: {
  readonly url: string;
  readonly receiver: string;
  readonly token: Secret | undefined;
}): ActiveAlerts {
  const { url, token } = options;
  const receiver = encodeURIComponent(quoted(options.receiver));
  const query = `active=true&silenced=true&inhibited=true&unprocessed=true&receiver=${receiver}`;
  return {
    list: async () => {
      const status = statusSchema.parse(await get(`${url}/api/v2/status`, token));
      const alerts = listSchema.parse(await get(`${url}/api/v2/alerts?${query}`, token));
      return {
        upSince: new Date(status.uptime),
        alerts: alerts.map(({ status: { state }, ...alert }) => ({
          ...alert,
          active: state === "active",
        })),
      };
    },
  };
}

/** The API takes a regular expression. */
function quoted(name: string): string {
  return name.replaceAll(/[^\w]/g, "\\$&");
}

/** Follows no redirect, so that the token goes to the configured server only. */
async function get(address: string, token: Secret | undefined): Promise<unknown> {
  const response = await fetch(address, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` },
    redirect: "error",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`Alertmanager answered ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > ANSWER_MAX_BYTES)
      throw new Error(`Alertmanager's answer is over ${ANSWER_MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}
