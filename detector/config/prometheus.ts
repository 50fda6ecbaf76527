import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { optional, secret, text, url, withDefault, type Config } from "../../lib/config.ts";
import { messageOf } from "../../lib/error.ts";
import { Secret } from "../../lib/secret.ts";
import type { PrometheusAccess } from "../types.ts";

/** How to reach Prometheus, and as whom. */
export const prometheusVariables = {
  promUrl: withDefault(
    "PROM_URL",
    url,
    "http://127.0.0.1:9090",
    "Prometheus, or anything with its query API",
  ),
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
    "PEM file of the only authorities that may have signed Prometheus' certificate",
  ),
  promCertFile: optional("PROM_CERT_FILE", text, "PEM file of the client certificate (mTLS)"),
  promKeyFile: optional("PROM_KEY_FILE", text, "PEM file of the client certificate's private key"),
  promTenant: optional("PROM_TENANT", text, "tenant of Mimir or Cortex, sent as X-Scope-OrgID"),
} as const;

type Settings = Config<typeof prometheusVariables>;

/** Mimir's own rule for tenant names; `|` joins several in one query. */
const TENANT = /^[a-zA-Z0-9!\-_.*'()|]{1,150}$/;

/** The variables put together; what is wrong with them is added to `problems`, by the variable's name. */
export function prometheusAccess(settings: Settings, problems: string[]): PrometheusAccess {
  checkCredentials(settings, problems);
  const { promUrl, promUsername: user, promPassword: password } = settings;
  return {
    url: promUrl,
    token: settings.promToken,
    basic: user === undefined || password === undefined ? undefined : { user, password },
    tenant: settings.promTenant,
    tls: readTls(settings, problems),
  };
}

function checkCredentials(settings: Settings, problems: string[]): void {
  const { promToken, promUsername: user, promPassword, promTenant } = settings;
  if ((user === undefined) !== (promPassword === undefined)) {
    const [missing, set] =
      user === undefined ? ["PROM_USERNAME", "PROM_PASSWORD"] : ["PROM_PASSWORD", "PROM_USERNAME"];
    problems.push(`${missing}: is required when ${set} is set`);
  }
  if (user?.includes(":") === true) problems.push("PROM_USERNAME: must not contain a colon");
  if (promToken !== undefined && user !== undefined) {
    problems.push("PROM_USERNAME: cannot be set together with PROM_TOKEN");
  }
  if (promToken !== undefined && !/^[\x21-\x7e]+$/.test(promToken.reveal())) {
    problems.push("PROM_TOKEN: must be printable ASCII without blanks");
  }
  if (promTenant !== undefined && !TENANT.test(promTenant)) {
    problems.push(`PROM_TENANT: must match ${TENANT.source}, got ${JSON.stringify(promTenant)}`);
  }
}

function readTls(settings: Settings, problems: string[]): PrometheusAccess["tls"] {
  const { promUrl, promCaFile, promCertFile, promKeyFile } = settings;
  const files = [
    ["PROM_CA_FILE", promCaFile],
    ["PROM_CERT_FILE", promCertFile],
    ["PROM_KEY_FILE", promKeyFile],
  ] as const;
  const [first] = files.find(([, path]) => path !== undefined) ?? [];
  if (first === undefined) return undefined;
  const before = problems.length;
  if (!promUrl.startsWith("https:")) problems.push(`${first}: needs a PROM_URL with https`);
  if ((promCertFile === undefined) !== (promKeyFile === undefined)) {
    const [missing, set] =
      promKeyFile === undefined
        ? ["PROM_KEY_FILE", "PROM_CERT_FILE"]
        : ["PROM_CERT_FILE", "PROM_KEY_FILE"];
    problems.push(`${missing}: is required when ${set} is set`);
  }
  const isCertificate = (pem: string): unknown => new X509Certificate(pem);
  const ca = readPem("PROM_CA_FILE", promCaFile, isCertificate, problems);
  const cert = readPem("PROM_CERT_FILE", promCertFile, isCertificate, problems);
  const key = readPem("PROM_KEY_FILE", promKeyFile, createPrivateKey, problems);
  if (problems.length > before) return undefined;
  if (key !== undefined) {
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      problems.push(`PROM_KEY_FILE: does not fit PROM_CERT_FILE: ${messageOf(error)}`);
    }
  }
  return { ca, cert, key: key === undefined ? undefined : new Secret(key) };
}

function readPem(
  name: string,
  path: string | undefined,
  check: (pem: string) => unknown,
  problems: string[],
): string | undefined {
  if (path === undefined) return undefined;
  try {
    const pem = readFileSync(path, "utf8");
    check(pem);
    return pem;
  } catch (error) {
    problems.push(`${name}: ${path}: ${messageOf(error)}`);
    return undefined;
  }
}
