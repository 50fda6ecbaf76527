import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { isLoopbackHost } from "../../lib/loopback.ts";
import type { Secret } from "../../lib/secret.ts";
import { equalInConstantTime } from "../../lib/signature.ts";

/** The prefix makes browsers keep it to this host, over TLS (or loopback) only. */
export const SESSION_COOKIE = "__Host-fettle";
const SESSION_SECONDS = 12 * 3600;

export interface AccessDeps {
  /** Undefined: only this machine may look. */
  readonly token: Secret | undefined;
  /** The address that the service listens on. */
  readonly host: string;
  readonly clock: Pick<Clock, "now">;
}

/** What a request shows of who looks. */
export interface Visit {
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
  /** The `Host` header. */
  readonly host: string | undefined;
  /** A proxy stands between: then its own address says nothing about the person. */
  readonly forwarded: boolean;
}

export interface Viewer {
  readonly kind: "token" | "loopback";
  /** Must come back with every form; undefined where no browser sends credentials by itself. */
  readonly csrf: string | undefined;
  /** When the session ends; undefined when it does not. */
  readonly until: Date | undefined;
}

/** Who may see the pages. Until people have accounts: whoever has the one token, or sits at this machine. */
export interface Access {
  /** Undefined: nobody we know. */
  readonly viewerOf: (visit: Visit) => Viewer | undefined;
  /** The cookie of a new session; undefined for a wrong token. */
  readonly signIn: (
    token: string,
  ) => { readonly value: string; readonly maxAgeMs: number } | undefined;
  /** Whether there is a token to sign in with. */
  readonly canSignIn: boolean;
}

export function openAccess({ token, host, clock }: AccessDeps): Access {
  // Without a token there is one process on one machine, and its forms need not outlive it.
  const key = token === undefined ? randomBytes(32) : keyOf(token);
  const csrfOf = (session: string) => mac(key, `csrf|${session}`);
  if (token === undefined) {
    const open = isLoopbackHost(host);
    const viewer: Viewer = { kind: "loopback", csrf: csrfOf("loopback"), until: undefined };
    return {
      canSignIn: false,
      signIn: () => undefined,
      viewerOf: (visit) => (open && isLocal(visit) ? viewer : undefined),
    };
  }
  const own = token.reveal();
  return {
    canSignIn: true,
    signIn: (given) => {
      if (!equalInConstantTime(given, own)) return undefined;
      const ends = Math.floor(clock.now().getTime() / 1000) + SESSION_SECONDS;
      const text = `v1.${ends}.${randomBytes(16).toString("base64url")}`;
      return { value: `${text}.${mac(key, text)}`, maxAgeMs: SESSION_SECONDS * 1000 };
    },
    viewerOf: ({ authorization, cookie }) => {
      const shown = credentialOf(authorization);
      if (shown !== undefined) {
        if (!equalInConstantTime(shown.token, own)) return undefined;
        // A browser sends a basic password by itself, also with a form on somebody else's page.
        const csrf = shown.scheme === "basic" ? csrfOf("basic") : undefined;
        return { kind: "token", csrf, until: undefined };
      }
      const session = sessionIn(cookie);
      const until = session === undefined ? undefined : endOf(session, key);
      if (session === undefined || until === undefined || until <= clock.now()) return undefined;
      return { kind: "token", csrf: csrfOf(session), until };
    },
  };
}

/** A new token ends every session. */
function keyOf(token: Secret): Buffer {
  return createHmac("sha256", token.reveal()).update("fettle pages v1").digest();
}

function mac(key: Buffer, text: string): string {
  return createHmac("sha256", key).update(text).digest("base64url");
}

/** The name is looked at too: a foreign page whose name has been pointed at this machine is not at this machine. */
function isLocal({ host = "", forwarded }: Visit): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return !forwarded && isLoopbackHost(name);
}

function credentialOf(authorization: string | undefined) {
  const [, scheme = "", value = ""] = /^(bearer|basic)\s+(\S+)$/i.exec(authorization ?? "") ?? [];
  if (scheme === "") return undefined;
  if (scheme.toLowerCase() === "bearer") return { scheme: "bearer", token: value } as const;
  const [, ...password] = Buffer.from(value, "base64").toString("utf8").split(":");
  return { scheme: "basic", token: password.join(":") } as const;
}

function sessionIn(cookie: string | undefined): string | undefined {
  const start = `${SESSION_COOKIE}=`;
  return cookie
    ?.split(";")
    .map((part) => part.trim())
    .find((part) => part.startsWith(start))
    ?.slice(start.length);
}

/** When a session that we have signed ends; undefined for any other text. */
function endOf(session: string, key: Buffer): Date | undefined {
  const at = session.lastIndexOf(".");
  const text = session.slice(0, Math.max(0, at));
  if (!equalInConstantTime(session.slice(at + 1), mac(key, text))) return undefined;
  const [version, ends = ""] = text.split(".");
  return version === "v1" ? new Date(Number(ends) * 1000) : undefined;
}
