import type { PrometheusAccess } from "../lib/access.ts";
import {
  choice,
  integer,
  optional,
  secret,
  text,
  url,
  withDefault,
  type Config,
} from "../lib/config.ts";
import { readLogin, readTls } from "../lib/credentials.ts";
import { prometheusAccess, prometheusCredentials } from "../lib/prometheus-access.ts";

const label = text.refine((name) => /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name), {
  error: "must be a label's name",
});
const headerName = text.refine((name) => /^[A-Za-z][A-Za-z0-9-]{0,63}$/.test(name), {
  error: "must be a header's name",
});
const namePattern = text.refine(isPattern, { error: "must be a regular expression" });

function isPattern(source: string): boolean {
  try {
    return new RegExp(source, "v") instanceof RegExp;
  } catch {
    return false;
  }
}

/** Whom the API asks for metrics, logs and dashboards; what is not set answers 503. */
export const observingVariables = {
  promUrl: optional("PROM_URL", url, "address of Prometheus"),
  ...prometheusCredentials,
  lokiUrl: optional("LOKI_URL", url, "address of Loki, or of anything with its query API"),
  lokiToken: optional("LOKI_TOKEN", secret, "bearer token for Loki"),
  lokiUsername: optional(
    "LOKI_USERNAME",
    text,
    "user of basic authentication, instead of LOKI_TOKEN",
  ),
  lokiPassword: optional("LOKI_PASSWORD", secret, "password of LOKI_USERNAME"),
  lokiCaFile: optional(
    "LOKI_CA_FILE",
    text,
    "PEM file of the only authorities that may have signed Loki's certificate; read again when it changes, as the next two",
  ),
  lokiCertFile: optional("LOKI_CERT_FILE", text, "PEM file of the client certificate (mTLS)"),
  lokiKeyFile: optional("LOKI_KEY_FILE", text, "PEM file of the client certificate's private key"),
  lokiTenant: optional("LOKI_TENANT", text, "Loki's tenant, sent as X-Scope-OrgID"),
  lokiServiceLabel: withDefault(
    "LOKI_SERVICE_LABEL",
    label,
    "service_name",
    "label of Loki's streams that says which service they are of",
  ),
  grafanaUrl: optional("GRAFANA_URL", url, "address of Grafana; /grafana/ leads there"),
  grafanaCaFile: optional(
    "GRAFANA_CA_FILE",
    text,
    "PEM file of the only authorities that may have signed Grafana's certificate",
  ),
  grafanaUserHeader: withDefault(
    "GRAFANA_USER_HEADER",
    headerName,
    "X-WEBAUTH-USER",
    "header of Grafana's auth proxy that tells it who asks",
  ),
  grafanaRoleHeader: withDefault(
    "GRAFANA_ROLE_HEADER",
    headerName,
    "X-WEBAUTH-ROLE",
    "header of Grafana's auth proxy that tells it their role: Admin or Viewer",
  ),
  workflowMetrics: withDefault(
    "HYPERVISOR_WORKFLOW_METRICS",
    namePattern,
    "^(workflow|dagger|runbooks)_",
    "regular expression: names of metrics that are about workflows",
  ),
  recordings: withDefault(
    "HYPERVISOR_RECORDINGS",
    choice("on", "off"),
    "on",
    "off: terminal sessions are not recorded; on: without a recording there is no session",
  ),
  recordingsDir: optional(
    "HYPERVISOR_RECORDINGS_DIR",
    text,
    "folder (made, for its owner only) where terminal sessions are recorded, as asciicast v2; recordings/ in HYPERVISOR_DATA_PATH when unset, and /var/lib/fettle/recordings when that is unset too",
  ),
  recordingsDays: withDefault(
    "HYPERVISOR_RECORDINGS_DAYS",
    integer({ min: 1, max: 3650 }),
    365,
    "recordings are deleted after so many days",
  ),
  recordingsMegabytes: withDefault(
    "HYPERVISOR_RECORDINGS_MAX_MB",
    integer({ min: 100, max: 100_000_000 }),
    10_000,
    "of more recordings than that the oldest are deleted, except those of the last day",
  ),
  terminalIdleSeconds: withDefault(
    "HYPERVISOR_TERMINAL_IDLE_SECONDS",
    integer({ min: 10, max: 86_400 }),
    900,
    "a terminal in which nothing is typed for so long is closed",
  ),
} as const;

type Settings = Config<typeof observingVariables>;

/** Whom to ask; undefined for those without an address. */
export interface ObservingAccess {
  readonly prometheus: PrometheusAccess | undefined;
  readonly loki: PrometheusAccess | undefined;
  readonly grafana: PrometheusAccess | undefined;
}

/** The variables put together. What is wrong with them is added to `problems`, by the variable's name. */
export function observingAccess(settings: Settings, problems: string[] = []): ObservingAccess {
  const { promUrl, lokiUrl, grafanaUrl } = settings;
  return {
    prometheus:
      promUrl === undefined ? undefined : prometheusAccess({ ...settings, promUrl }, problems),
    loki: lokiUrl === undefined ? undefined : lokiAccess(settings, lokiUrl, problems),
    grafana: grafanaUrl === undefined ? undefined : grafanaAccess(settings, grafanaUrl, problems),
  };
}

/** What is wrong with the variables together. */
export function observingProblems(settings: Settings): readonly string[] {
  const problems: string[] = [];
  observingAccess(settings, problems);
  return problems;
}

function lokiAccess(settings: Settings, address: string, problems: string[]): PrometheusAccess {
  const login = readLogin(
    {
      token: settings.lokiToken,
      user: settings.lokiUsername,
      password: settings.lokiPassword,
    },
    { token: "LOKI_TOKEN", user: "LOKI_USERNAME", password: "LOKI_PASSWORD" },
    problems,
  );
  const tls = readTls(
    { ca: settings.lokiCaFile, cert: settings.lokiCertFile, key: settings.lokiKeyFile },
    { ca: "LOKI_CA_FILE", cert: "LOKI_CERT_FILE", key: "LOKI_KEY_FILE", url: "LOKI_URL" },
    { secure: address.startsWith("https:"), problems },
  );
  return { url: address, ...login, tenant: settings.lokiTenant, tls };
}

function grafanaAccess(settings: Settings, address: string, problems: string[]): PrometheusAccess {
  const tls = readTls(
    { ca: settings.grafanaCaFile, cert: undefined, key: undefined },
    { ca: "GRAFANA_CA_FILE", cert: "GRAFANA_CA_FILE", key: "GRAFANA_CA_FILE", url: "GRAFANA_URL" },
    { secure: address.startsWith("https:"), problems },
  );
  return { url: address, tls };
}
