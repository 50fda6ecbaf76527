import {
  integer,
  list,
  optional,
  secret,
  text,
  url,
  withDefault,
  type Config,
} from "../../lib/config.ts";
import { messageOf } from "../../lib/error.ts";
import { isLoopbackHost } from "../../lib/loopback.ts";
import { sourcesProblems } from "../sources.ts";
import { trustedProxies } from "../trusted-proxies.ts";
import { tooShort } from "./too-short.ts";

/** A webhook token is compared, not used as a key; shorter ones can be guessed. */
const WEBHOOK_SECRET_MIN_LENGTH = 16;

export const intakeVariables = {
  webhookToken: optional(
    "RUNBOOK_WEBHOOK_TOKEN",
    secret,
    "bearer token (or basic password) of Alertmanager and Grafana",
  ),
  webhookSecret: optional("AIOPS_WEBHOOK_SECRET", secret, "HMAC key of the detector's alerts"),
  sourcesFile: optional(
    "RUNBOOK_SOURCES_FILE",
    text,
    "YAML file of more senders, with the hashes of their tokens and their namespaces",
  ),
  signatureTimestampHeader: withDefault(
    "RUNBOOK_SIGNATURE_TIMESTAMP_HEADER",
    text,
    "X-Grafana-Alerting-Timestamp",
    "header of the time in Grafana's signature (its contact point's timestampHeader)",
  ),
  trustedProxies: withDefault(
    "RUNBOOK_TRUSTED_PROXIES",
    list,
    [],
    "addresses or CIDR blocks of proxies that tell the name of a client's certificate",
  ),
  mtlsHeader: optional(
    "RUNBOOK_MTLS_HEADER",
    text,
    "header in which a trusted proxy tells that name",
  ),
  alertmanagerUrl: optional(
    "RUNBOOK_ALERTMANAGER_URL",
    url,
    "Alertmanager that is asked every minute what its notifications did not tell",
  ),
  alertmanagerToken: optional("RUNBOOK_ALERTMANAGER_TOKEN", secret, "bearer token for asking it"),
  alertmanagerReceiver: withDefault(
    "RUNBOOK_ALERTMANAGER_RECEIVER",
    text,
    "fettle",
    "name of the receiver in its configuration whose alerts are ours",
  ),
  inboxDays: withDefault(
    "RUNBOOK_INBOX_DAYS",
    integer({ min: 1, max: 3650 }),
    30,
    "days that a delivery is kept after it was looked at",
  ),
  episodeDays: withDefault(
    "RUNBOOK_EPISODE_DAYS",
    integer({ min: 1, max: 3650 }),
    400,
    "days that an alert is kept after it has resolved",
  ),
} as const;

export function intakeProblems(
  config: Config<typeof intakeVariables> & { readonly host: string; readonly role: string },
): readonly string[] {
  const { webhookToken, webhookSecret, sourcesFile, host, role } = config;
  const open =
    webhookToken === undefined &&
    webhookSecret === undefined &&
    sourcesFile === undefined &&
    role !== "executor" && // it listens to no sender at all
    !isLoopbackHost(host);
  return [
    ...(open
      ? [
          `RUNBOOK_WEBHOOK_TOKEN: is required (or AIOPS_WEBHOOK_SECRET, or RUNBOOK_SOURCES_FILE) when RUNBOOKS_HOST is ` +
            `${host}: without a credential only a loopback address may be listened on`,
        ]
      : []),
    ...tooShort("RUNBOOK_WEBHOOK_TOKEN", webhookToken, WEBHOOK_SECRET_MIN_LENGTH),
    ...tooShort("AIOPS_WEBHOOK_SECRET", webhookSecret, WEBHOOK_SECRET_MIN_LENGTH),
    ...sourcesProblems(config),
    ...proxyProblems(config.trustedProxies),
  ];
}

function proxyProblems(entries: readonly string[]): readonly string[] {
  try {
    trustedProxies(entries);
    return [];
  } catch (error) {
    return [`RUNBOOK_TRUSTED_PROXIES: ${messageOf(error)}`];
  }
}
