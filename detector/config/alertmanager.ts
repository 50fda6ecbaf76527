import { z } from "zod";
import { list, optional, secret, text, url, type Config, type Kind } from "../../lib/config.ts";
import { readLogin, readTls } from "../../lib/credentials.ts";
import type { AlertmanagerAccess } from "../types/access.ts";

/** An alert is posted to each of them. */
const MEMBERS_MAX = 16;

const addresses: Kind<readonly string[]> = z.string().transform((value, context) => {
  const read = list.parse(value).map((entry) => url.safeParse(entry));
  const urls = read.flatMap(({ data }) => data ?? []);
  const problem =
    urls.length < read.length || urls.length === 0
      ? "must be http:// or https:// addresses, separated by commas"
      : urls.length > MEMBERS_MAX
        ? `must be at most ${MEMBERS_MAX} addresses`
        : new Set(urls).size < urls.length
          ? "an address stands there twice"
          : undefined;
  if (problem === undefined) return urls;
  context.addIssue({ code: "custom", message: problem });
  return z.NEVER;
});

/** Alertmanager, or the members of its cluster, and as whom they are told. */
export const alertmanagerVariables = {
  alertmanagerUrls: optional(
    "AIOPS_ALERTMANAGER_URL",
    addresses,
    "Alertmanager, told directly by its /api/v2/alerts; of a cluster all members, separated by commas",
  ),
  alertmanagerToken: optional(
    "AIOPS_ALERTMANAGER_TOKEN",
    secret,
    "bearer token for Alertmanager, or for the proxy before it",
  ),
  alertmanagerUser: optional(
    "AIOPS_ALERTMANAGER_USER",
    text,
    "user of basic authentication, instead of AIOPS_ALERTMANAGER_TOKEN",
  ),
  alertmanagerPassword: optional(
    "AIOPS_ALERTMANAGER_PASSWORD",
    secret,
    "password of AIOPS_ALERTMANAGER_USER",
  ),
  alertmanagerCaFile: optional(
    "AIOPS_ALERTMANAGER_CA_FILE",
    text,
    "PEM file of the only authorities that may have signed Alertmanager's certificate; read again when it changes",
  ),
} as const;

type Settings = Config<typeof alertmanagerVariables>;

/** The variables put together; what is wrong with them is added to `problems`, by the variable's name. */
export function alertmanagerAccess(
  settings: Settings,
  problems: string[],
): AlertmanagerAccess | undefined {
  const { alertmanagerUrls: urls, alertmanagerToken: token } = settings;
  const { alertmanagerUser: user, alertmanagerPassword: password } = settings;
  const login = readLogin(
    { token, user, password },
    {
      token: "AIOPS_ALERTMANAGER_TOKEN",
      user: "AIOPS_ALERTMANAGER_USER",
      password: "AIOPS_ALERTMANAGER_PASSWORD",
    },
    problems,
  );
  const tls = readTls(
    { ca: settings.alertmanagerCaFile, cert: undefined, key: undefined },
    { ca: "AIOPS_ALERTMANAGER_CA_FILE", cert: "", key: "", url: "AIOPS_ALERTMANAGER_URL" },
    { secure: urls?.some((one) => one.startsWith("https:")) ?? false, problems },
  );
  if (urls === undefined) {
    if (token !== undefined || user !== undefined)
      problems.push("AIOPS_ALERTMANAGER_URL: is required when there is a user or a token for it");
    return undefined;
  }
  if (urls.some((one) => new URL(one).username !== "")) {
    problems.push("AIOPS_ALERTMANAGER_URL: must not contain a user, see AIOPS_ALERTMANAGER_USER");
  }
  return { urls, ...login, tls };
}
