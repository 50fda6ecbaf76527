import type { Log } from "../../lib/log.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { appendDeed, type Deed } from "../frame/record.ts";
import { ACCESS_SECONDS, type AccessTokens } from "./access-token.ts";
import { openBrowserSession } from "./browser-sessions.ts";
import type { KeySource } from "./keys.ts";
import type { LoginMetrics } from "./login-metrics.ts";
import type { Passwords } from "./password.ts";
import { barred, findPerson, type Person } from "./person.ts";
import { endSession, openSession, rotate, sessionOf, type Client } from "./sessions.ts";
import { countGuess, forgetGuesses, ThrottledProblem } from "./throttle.ts";

export interface SignInDeps {
  readonly database: Database;
  readonly passwords: Passwords;
  readonly accessTokens: AccessTokens;
  readonly keys: KeySource;
  readonly log: Log;
  readonly metrics: LoginMetrics;
  /** Whether one more replay of an ended session may be written down now. */
  readonly mayTellReplay: () => boolean;
}

/** The answer of /auth/token and /auth/refresh (RFC 6749, 5.1). */
export interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly token_type: "bearer";
  /** Seconds that the access token lasts. */
  readonly expires_in: number;
  readonly must_change_password: boolean;
}

interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** One answer for whatever is wrong: it does not tell who exists. */
const WRONG = "The user name or the password is wrong.";

/** A login of a program, or of a page of its own. @throws HttpProblem 401, 429, 503; each is on record */
export async function signIn(
  deps: SignInDeps,
  credentials: Credentials,
  client: Client,
): Promise<Tokens> {
  const { username } = credentials;
  const open = async (tx: Queryable) => openSession(tx, username, client);
  const { person, opened } = await enter(deps, { credentials, client, open });
  return tokensOf(deps, person, opened);
}

/** A login by our own page. @returns the value of the browser's cookie @throws as {@link signIn} */
export async function signInBrowser(
  deps: SignInDeps,
  credentials: Credentials,
  client: Client,
): Promise<string> {
  const open = async (tx: Queryable) => openBrowserSession(tx, credentials.username);
  const { opened } = await enter(deps, { credentials, client, open });
  return opened.cookie;
}

interface Entering<Opened> {
  readonly credentials: Credentials;
  readonly client: Client;
  readonly open: (tx: Queryable) => Promise<Opened>;
}

async function enter<Opened extends { readonly session: string }>(
  deps: SignInDeps,
  { credentials: { username, password }, client, open }: Entering<Opened>,
): Promise<{ readonly person: Person; readonly opened: Opened }> {
  const { database, passwords, metrics } = deps;
  const deed = deedOf("UserLogin", username, client);
  await countGuess(database, { username, ip: client.ip }).catch(async (error: unknown) => {
    if (error instanceof ThrottledProblem) {
      deps.log.warn("login throttled", { ip: client.ip });
      metrics.login("throttled");
      metrics.throttled(error.limit);
    }
    throw error; // not in the audit log: whoever guesses on would fill it
  });
  const { person, hash } = await findWithPassword(database, username);
  const verdict = await passwords.verify(password, hash);
  const bar = person === undefined ? "there is no such user" : barred(person);
  if (verdict === "wrong" || person === undefined || bar !== undefined) {
    const why = bar ?? (hash === null ? "the user has no password" : "wrong password");
    throw await refused(deps, deed, why);
  }
  const rehashed = verdict === "rehash" ? await passwords.hash(password) : undefined;
  const opened = await database.inTransaction(async (tx) => {
    // The password may have been changed since it was looked at: the row's lock decides which of the two was first.
    const { rowCount } = await tx.query(
      `UPDATE hypervisor_users SET last_login_at = now(), password_hash = coalesce($3, password_hash)
        WHERE username = $1 AND password_hash = $2 AND enabled`,
      [username, hash, rehashed ?? null],
    );
    if (rowCount === 0) return undefined;
    await forgetGuesses(tx, { username, ip: client.ip });
    const session = await open(tx);
    await appendDeed(tx, {
      ...deed,
      result: "Success",
      summary: "Signed in",
      facts: { session: session.session },
      organization: person.organization ?? undefined,
    });
    return session;
  });
  if (opened === undefined) throw await refused(deps, deed, "the user was changed in the meantime");
  metrics.login("success");
  return { person, opened };
}

async function refused(
  { database, metrics }: SignInDeps,
  deed: ReturnType<typeof deedOf>,
  why: string,
): Promise<HttpProblem> {
  metrics.login("refused");
  await appendDeed(database, { ...deed, result: "Refused", summary: `Login refused: ${why}` });
  return new HttpProblem(401, "Not authenticated", WRONG, { "WWW-Authenticate": "Bearer" });
}

/** A refresh. A token that was used before ends its session for everybody. @throws HttpProblem 401, on record */
export async function refresh(deps: SignInDeps, given: string, client: Client): Promise<Tokens> {
  const { database, keys, log, metrics } = deps;
  await keys.ring(); // not within the transaction: it may need a connection of its own
  const { refreshed, person } = await database.inTransaction(async (tx) => {
    const outcome = await rotate(tx, keys, given, client);
    // Of a session that has ended already it costs nothing to come again and again.
    if (outcome.kind === "reused" && (outcome.wasOpen || deps.mayTellReplay())) {
      log.error("refresh token used twice: its session has ended", {
        username: outcome.username,
        session: outcome.session,
        ip: client.ip,
      });
      await appendDeed(tx, {
        ...deedOf("RefreshReused", outcome.username, client),
        result: "Refused",
        summary: outcome.wasOpen
          ? "A refresh token was used twice: its session was ended"
          : "A refresh token was used twice, after the end of its session",
        facts: { session: outcome.session },
      });
    }
    const owner = outcome.kind === "fresh" ? (await sessionOf(tx, given))?.username : undefined;
    return {
      refreshed: outcome,
      person: owner === undefined ? undefined : await findPerson(tx, owner),
    };
  });
  if (refreshed.kind === "reused") metrics.refreshReused();
  if (refreshed.kind !== "fresh" || person === undefined || barred(person) !== undefined)
    throw new HttpProblem(401, "Not authenticated", "The refresh token is not valid: sign in.");
  return tokensOf(deps, person, refreshed);
}

/**
 * Ends the session of a refresh token, or of an access token; that it has ended already is no error.
 *
 * @throws HttpProblem 401 when neither is there
 */
export async function signOut(
  { database, accessTokens }: Pick<SignInDeps, "database" | "accessTokens">,
  {
    bearer,
    refreshToken,
  }: { readonly bearer: string | undefined; readonly refreshToken: string | undefined },
  client: Client,
): Promise<void> {
  const claims = bearer === undefined ? undefined : await accessTokens.verify(bearer);
  const own = typeof claims === "object" ? claims : undefined;
  if (own === undefined && refreshToken === undefined)
    throw new HttpProblem(401, "Not authenticated", "Give an access token or a refresh_token.", {
      "WWW-Authenticate": "Bearer",
    });
  await database.inTransaction(async (tx) => {
    const found = refreshToken === undefined ? own : await sessionOf(tx, refreshToken);
    if (found === undefined) return;
    await endLogin(tx, { ...found, actor: own?.username ?? found.username }, client);
  });
}

/** Ends a login, on record; that it has ended already is no error. */
export async function endLogin(
  tx: Queryable,
  login: { readonly session: string; readonly username: string; readonly actor: string },
  client: Client,
): Promise<void> {
  const { session, username, actor } = login;
  if (!(await endSession(tx, session, "logout"))) return;
  await appendDeed(tx, {
    ...deedOf("UserLogout", username, client),
    actor,
    result: "Success",
    summary: "Signed out",
    facts: { session },
  });
}

async function findWithPassword(database: Database, username: string) {
  const person = await findPerson(database, username);
  const { rows } = await database.query<{ password_hash: string | null }>(
    "SELECT password_hash FROM hypervisor_users WHERE username = $1",
    [username],
  );
  return { person, hash: rows[0]?.password_hash ?? null };
}

async function tokensOf(
  { accessTokens }: SignInDeps,
  { username, token_version: version, must_change }: Person,
  { session, refreshToken }: { readonly session: string; readonly refreshToken: string },
): Promise<Tokens> {
  return {
    access_token: await accessTokens.sign({ username, session, version }),
    refresh_token: refreshToken,
    token_type: "bearer",
    expires_in: ACCESS_SECONDS,
    must_change_password: must_change,
  };
}

function deedOf(
  action: Deed["action"],
  username: string,
  { ip }: Client,
): Omit<Deed, "result" | "summary"> {
  return { actor: username, action, resource: "user", id: username, ip, organization: undefined };
}
