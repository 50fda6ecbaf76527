import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload } from "jose";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import { exchange } from "../../lib/exchange.ts";
import type { Database } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { TokenKind } from "../authenticate.ts";
import { issuerOf } from "./access-token.ts";
import { personOf } from "./identities.ts";
import { principalOf } from "./person.ts";

/** What public identity providers sign with; no HS*: their secret would be everybody's who can verify. */
const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];
const SKEW_SECONDS = 30;
const TIMEOUT_MS = 5_000;
const ANSWER_BYTES_MAX = 256 * 1024;
/** After a discovery that failed nobody asks again so soon. */
const FAILED_MS = 10_000;

export interface OidcOptions {
  readonly issuer: string;
  readonly audience: string;
  /** Whose value is the name of the user that an account is bound to when it comes for the first time. */
  readonly usernameClaim: string;
}

const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.url() });
type Keys = ReturnType<typeof createRemoteJWKSet>;

/** Bearer tokens of an OpenID Connect issuer. It says who somebody is; what they may do stands with the user here. */
export function oidcTokens(database: Database, options: OidcOptions, clock: Clock): TokenKind {
  const keys = discoverOnce(options.issuer, clock);
  return {
    identify: async (token) => {
      if (issuerOf(token) !== options.issuer) return undefined;
      const payload = await verify(token, await keys(), options, clock);
      if (typeof payload === "string") return { known: false, reason: payload };
      const { sub: subject, auth_time: signedIn, exp: end = 0 } = payload;
      if (subject === undefined || subject === "") return { known: false, reason: "it has no sub" };
      const name = payload[options.usernameClaim];
      const account = { issuer: options.issuer, subject };
      const person = await personOf(database, account, typeof name === "string" ? name : undefined);
      if (typeof person === "string") return { known: false, reason: person };
      const signedInAt = typeof signedIn === "number" ? new Date(signedIn * 1000) : undefined;
      const expiresAt = new Date(end * 1000);
      const by = { via: "oidc", subject, signedInAt, expiresAt } as const;
      return { known: true, principal: principalOf(person, by) };
    },
  };
}

async function verify(
  token: string,
  keys: Keys,
  { issuer, audience }: OidcOptions,
  clock: Clock,
): Promise<JWTPayload | string> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: ALGORITHMS,
      issuer,
      audience,
      clockTolerance: SKEW_SECONDS,
      requiredClaims: ["sub", "exp", "iat"],
      currentDate: clock.now(),
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JWTExpired) return "it has expired";
    if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError))
      throw unavailable(error);
    return "it is not valid";
  }
}

/** The issuer's keys, found at the first token and not at the start: it may be down then. */
function discoverOnce(issuer: string, clock: Clock): () => Promise<Keys> {
  let known: Promise<Keys> | undefined;
  let failedAt = -Infinity;
  return async () => {
    if (clock.now().getTime() - failedAt < FAILED_MS) throw unavailable(new Error("just failed"));
    known ??= discover(issuer).catch((error: unknown) => {
      known = undefined;
      failedAt = clock.now().getTime();
      throw unavailable(error);
    });
    return known;
  };
}

async function discover(issuer: string): Promise<Keys> {
  const { status, text } = await exchange(`${issuer}/.well-known/openid-configuration`, {
    headers: { accept: "application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    bytesMax: ANSWER_BYTES_MAX,
  });
  if (status !== 200) throw new Error(`the issuer answered ${status}`);
  const found = discoverySchema.parse(JSON.parse(text));
  if (found.issuer !== issuer) throw new Error(`it says that it is ${found.issuer}`);
  const address = new URL(found.jwks_uri);
  // Its keys decide who is let in: never over a line that others can write on.
  if (address.protocol !== "https:" && new URL(issuer).protocol === "https:")
    throw new Error("its keys are not behind https");
  return createRemoteJWKSet(address, { timeoutDuration: TIMEOUT_MS });
}

function unavailable(cause: unknown): Error {
  const detail = `The identity provider's keys cannot be read: ${messageOf(cause)}`;
  return new HttpProblem(503, "Temporarily unavailable", detail, { "Retry-After": "5" });
}
