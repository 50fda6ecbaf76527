import type { Registry } from "prom-client";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { createAccessTokens } from "./auth/access-token.ts";
import { apiTokens } from "./auth/api-tokens.ts";
import { identifyCookie } from "./auth/browser-sessions.ts";
import { ensureFirstAdmin } from "./auth/first-admin.ts";
import { keysOfDatabase, keysOfFiles } from "./auth/keys.ts";
import { createLoginMetrics } from "./auth/login-metrics.ts";
import { oidcTokens } from "./auth/oidc.ts";
import { createPasswords } from "./auth/password.ts";
import { sessionTokens } from "./auth/session-tokens.ts";
import type { SignInDeps } from "./auth/sign-in.ts";
import { recordLife } from "./auth/start-row.ts";
import { sweepPeople } from "./auth/sweep.ts";
import { authenticatorOf, staticToken } from "./authenticate.ts";
import type { HypervisorConfig } from "./config.ts";
import { rowsPerMinute } from "./frame/rows-per-minute.ts";
import type { Authenticator } from "./types.ts";

const SWEEP_MS = 10 * 60_000;
/** The database may come later than we do. */
const FIRST_ADMIN_RETRY_MS = 2_000;

export interface People {
  readonly authenticator: Authenticator;
  readonly signIn: SignInDeps;
  readonly oidcIssuer: string | undefined;
}

export interface PeopleDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly stack: StopStack;
  readonly registry: Registry;
  /** Where the first admin's one-time password is told. */
  readonly announce: (text: string) => void;
}

/** Who may come in, and by what. */
export function openPeople(config: HypervisorConfig, deps: PeopleDeps): People {
  const { database, clock, log } = deps;
  const files = [config.jwtKeyFile, config.jwtOldKeyFile].filter((path) => path !== undefined);
  const keys = files.length === 0 ? keysOfDatabase(database) : keysOfFiles(files);
  const passwords = createPasswords(config.passwordPepper);
  const metrics = createLoginMetrics(deps.registry);
  const accessTokens = createAccessTokens(keys, clock);
  const { oidcIssuer: issuer, oidcAudience: audience, oidcUsernameClaim: usernameClaim } = config;
  const oidc =
    issuer === undefined ? [] : [oidcTokens(database, { issuer, audience, usernameClaim }, clock)];
  const kinds = [
    staticToken(config.apiToken),
    apiTokens(database),
    sessionTokens(database, accessTokens),
    ...oidc,
  ];
  const authenticator = authenticatorOf(kinds, async (cookie) => identifyCookie(database, cookie));
  const mayTellReplay = rowsPerMinute(clock);
  keepHouse({ ...deps, password: config.adminPassword, passwords });
  return {
    authenticator,
    signIn: { database, passwords, accessTokens, keys, log, metrics, mayTellReplay },
    oidcIssuer: issuer,
  };
}

type HouseDeps = PeopleDeps &
  Pick<Parameters<typeof ensureFirstAdmin>[0], "password" | "passwords">;

/** As soon as the database is there: the first admin, and that the service began. Then takes away what has expired. */
function keepHouse(deps: HouseDeps): void {
  const { clock, log, stack, database } = deps;
  const stopping = new AbortController();
  let started = false;
  const first = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await ensureFirstAdmin(deps);
        await recordLife(database, "SystemStarted");
        started = true;
        return;
      } catch (error) {
        log.warn("database not there yet", { error: messageOf(error) });
        await clock.sleep(FIRST_ADMIN_RETRY_MS, stopping.signal);
      }
    }
  };
  const sweep = async (): Promise<void> => {
    await clock.sleep(SWEEP_MS, stopping.signal);
    while (!stopping.signal.aborted) {
      await sweepPeople(database).catch((error: unknown) => {
        log.warn("sweep failed", { error });
      });
      await clock.sleep(SWEEP_MS, stopping.signal);
    }
  };
  const done = Promise.all([first(), sweep()]);
  stack.add("people's housekeeping", async () => {
    stopping.abort();
    await done;
    if (!started) return; // the database never answered
    await recordLife(database, "SystemStopped").catch((error: unknown) => {
      log.warn("stop not recorded", { error: messageOf(error) });
    });
  });
}
