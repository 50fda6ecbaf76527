import { z } from "zod";
import { authorizationOf } from "../../lib/authorization.ts";
import { alertSchema } from "../../lib/contracts.ts";
import { exchange } from "../../lib/exchange.ts";
import type { Secret } from "../../lib/secret.ts";
import type { ActiveAlerts } from "../reconcile.ts";

const TIMEOUT_MS = 10_000;
/** Some 60,000 alerts. */
const ANSWER_MAX_BYTES = 64 * 1024 * 1024;

const RECEIVERS_SHOWN = 10;

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
      await checkReceiver(options);
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

const configSchema = z.object({ config: z.object({ original: z.string() }) });

/** Its configuration as it was read, with the secrets masked. */
export async function alertmanagerConfig(options: {
  readonly url: string;
  readonly token: Secret | undefined;
}): Promise<string> {
  const status = await get(`${options.url}/api/v2/status`, options.token);
  return configSchema.parse(status).config.original;
}

const receiversSchema = z.array(z.object({ name: z.string() }));

/** A receiver that is not there has no alerts, which must not be taken for "all of them are over". */
async function checkReceiver({
  url,
  receiver,
  token,
}: Parameters<typeof alertmanagerAlerts>[0]): Promise<void> {
  const receivers = receiversSchema.parse(await get(`${url}/api/v2/receivers`, token));
  const names = receivers.map(({ name }) => name);
  if (names.includes(receiver)) return;
  const shown = names.slice(0, RECEIVERS_SHOWN).join(", ");
  throw new Error(
    `Alertmanager has no receiver ${JSON.stringify(receiver)} (it has ${shown}): see RUNBOOK_ALERTMANAGER_RECEIVER`,
  );
}

/** The API takes a regular expression. */
function quoted(name: string): string {
  return name.replaceAll(/[^\w]/g, "\\$&");
}

async function get(address: string, token: Secret | undefined): Promise<unknown> {
  const { status, text } = await exchange(address, {
    headers: authorizationOf({ token }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
    bytesMax: ANSWER_MAX_BYTES,
  });
  if (status !== 200) throw new Error(`Alertmanager answered ${status}`);
  return JSON.parse(text);
}
