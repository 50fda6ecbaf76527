import { isLoopbackHost } from "../lib/loopback.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { openDatabase } from "../lib/postgres.ts";
import type { RunbooksConfig } from "./config.ts";
import { watchLoad } from "./overload.ts";
import type { Intake } from "./receive.ts";
import { openSources } from "./sources.ts";
import { trustedProxies } from "./trusted-proxies.ts";

/** Past this the sender is asked to wait; Alertmanager repeats what it could not deliver. */
const INBOX_WAITING_MAX = 50_000;
/** Connections of their own for those who store alerts: an answer must not wait for workers that use all others. */
const CONNECTIONS = 4;

/** What receiving needs of its own. @param waiting deliveries that wait to be looked at */
export function openIntake(
  config: RunbooksConfig,
  {
    log,
    waiting,
    stack,
  }: { readonly log: Log; readonly waiting: () => number; readonly stack: StopStack },
): Intake {
  const database = openDatabase(
    { url: config.databaseUrl.reveal(), applicationName: "fettle-intake", max: CONNECTIONS },
    log,
  );
  stack.add("intake database", async () => database.close());
  const load = watchLoad(() => waiting() > INBOX_WAITING_MAX);
  stack.add("load", load.stop);
  const sources = openSources(config);
  if (sources.allowAnonymous)
    log.warn("no webhook credential is set: everybody on this machine can send alerts");
  if (config.trustedProxies.some(isLoopbackHost))
    log.warn("RUNBOOK_TRUSTED_PROXIES trusts this machine: every process here may be any sender");
  return {
    database,
    load,
    log,
    sources,
    proxies: trustedProxies(config.trustedProxies),
    certificateHeader: config.mtlsHeader,
    timestampHeader: config.signatureTimestampHeader,
  };
}
