import { integer, optional, secret, text, url, withDefault, type Config } from "./config.ts";
import type { PrometheusAccess } from "./access.ts";
import { authorizationOf } from "./authorization.ts";
import { readLogin, readTls } from "./credentials.ts";

/** As whom to ask Prometheus, and whom to believe. */
export const prometheusCredentials = {
  promToken: optional("PROM_TOKEN", secret, "bearer token for Prometheus"),
  promUsername: optional(
    "PROM_USERNAME",
    text,
    "user of basic authentication, instead of PROM_TOKEN",
  ),
  promPassword: optional("PROM_PASSWORD", secret, "password of PROM_USERNAME"),
  promCaFile: optional(
    "PROM_CA_FILE",
    text,
    "PEM file of the only authorities that may have signed Prometheus' certificate; read again when it changes, as the next two",
  ),
  promCertFile: optional("PROM_CERT_FILE", text, "PEM file of the client certificate (mTLS)"),
  promKeyFile: optional("PROM_KEY_FILE", text, "PEM file of the client certificate's private key"),
  promTenant: optional("PROM_TENANT", text, "tenant of Mimir or Cortex, sent as X-Scope-OrgID"),
} as const;

/** How to reach Prometheus, for those who cannot do without. */
export const prometheusVariables = {
  promUrl: withDefault(
    "PROM_URL",
    url,
    "http://127.0.0.1:9090",
    "Prometheus, or anything with its query API",
  ),
  ...prometheusCredentials,
  promTimeoutSeconds: withDefault(
    "PROM_TIMEOUT_SECONDS",
    integer({ min: 1, max: 120 }),
    30,
    "seconds that one attempt of a query may take; there are three",
  ),
} as const;

interface Settings extends Config<typeof prometheusCredentials> {
  readonly promUrl: string;
  readonly promTimeoutSeconds?: number;
}

/** Mimir's own rule for tenant names; `|` joins several in one query. */
const TENANT = /^[a-zA-Z0-9!\-_.*'()|]{1,150}$/;

/** The variables put together; what is wrong with them is added to `problems`, by the variable's name. */
export function prometheusAccess(settings: Settings, problems: string[]): PrometheusAccess {
  const { promUrl, promTenant: tenant, promTimeoutSeconds: seconds } = settings;
  const login = readLogin(
    { token: settings.promToken, user: settings.promUsername, password: settings.promPassword },
    { token: "PROM_TOKEN", user: "PROM_USERNAME", password: "PROM_PASSWORD" },
    problems,
  );
  if (tenant !== undefined && !TENANT.test(tenant)) {
    problems.push(`PROM_TENANT: must match ${TENANT.source}, got ${JSON.stringify(tenant)}`);
  }
  const tls = readTls(
    { ca: settings.promCaFile, cert: settings.promCertFile, key: settings.promKeyFile },
    { ca: "PROM_CA_FILE", cert: "PROM_CERT_FILE", key: "PROM_KEY_FILE", url: "PROM_URL" },
    { secure: promUrl.startsWith("https:"), problems },
  );
  const timeout = seconds === undefined ? {} : { timeoutMs: seconds * 1000 };
  return { url: promUrl, ...login, tenant, tls, ...timeout };
}

/** Who asks, and for which tenant. */
export function prometheusHeaders(access: PrometheusAccess): Readonly<Record<string, string>> {
  const { tenant } = access;
  return {
    ...authorizationOf(access),
    ...(tenant === undefined ? {} : { "x-scope-orgid": tenant }),
  };
}
