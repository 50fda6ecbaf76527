import { randomUUID } from "node:crypto";
import { decodeJwt, errors, jwtVerify, SignJWT } from "jose";
import type { Clock } from "../../lib/clock.ts";
import type { KeySource } from "./keys.ts";

export const ACCESS_SECONDS = 600;

const ISSUER = "fettle";
const AUDIENCE = "fettle-hypervisor";
const TYPE = "at+jwt"; // RFC 9068: no other kind of token of ours can be taken for one
const ALGORITHM = "EdDSA";
const SKEW_SECONDS = 5;

interface AccessClaims {
  readonly username: string;
  readonly session: string;
  readonly version: number;
}

export interface AccessTokens {
  sign(claims: AccessClaims): Promise<string>;
  /** Undefined when somebody else has issued it, or it is no JWT; a text says why it is no good. */
  verify(token: string): Promise<AccessClaims | string | undefined>;
}

/** JWTs of ten minutes, signed with EdDSA and nothing else, whatever a token says about itself. */
export function createAccessTokens(keys: KeySource, clock: Clock): AccessTokens {
  return {
    sign: async ({ username, session, version }) => {
      const { current } = await keys.ring();
      const now = Math.floor(clock.now().getTime() / 1000);
      return new SignJWT({ sid: session, ver: version })
        .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: current.kid })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setSubject(username)
        .setJti(randomUUID())
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + ACCESS_SECONDS)
        .sign(current.privateKey);
    },
    verify: async (token) => {
      if (issuerOf(token) !== ISSUER) return undefined;
      try {
        const { payload } = await jwtVerify(token, async ({ kid }) => keyOf(keys, kid), {
          algorithms: [ALGORITHM],
          issuer: ISSUER,
          audience: AUDIENCE,
          typ: TYPE,
          clockTolerance: SKEW_SECONDS,
          maxTokenAge: ACCESS_SECONDS, // the skew is added by itself
          requiredClaims: ["sub", "sid", "ver", "jti", "exp", "nbf", "iat"],
          currentDate: clock.now(),
        });
        const { sub = "", sid, ver } = payload;
        if (typeof sid !== "string" || typeof ver !== "number") return "its claims are not ours";
        return { username: sub, session: sid, version: ver };
      } catch (error) {
        if (error instanceof errors.JWTExpired) return "it has expired";
        if (error instanceof errors.JOSEError) return "it is not valid";
        throw error; // the keys could not be read
      }
    },
  };
}

/** Whose token it says to be; nothing is believed yet. */
export function issuerOf(token: string): string | undefined {
  if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)) return undefined;
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

async function keyOf(keys: KeySource, kid: string | undefined) {
  const { byId } = await keys.ring();
  const key = byId.get(kid ?? "") ?? (await keys.again()).byId.get(kid ?? "");
  if (key === undefined) throw new errors.JWKSNoMatchingKey();
  return key;
}
