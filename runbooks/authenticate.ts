import { sha256Hex } from "../lib/canonical.ts";
import {
  couldBeSigned,
  equalInConstantTime,
  verifySignature,
  type SignatureHeaders,
} from "../lib/signature.ts";
import type { Proof, Source, Sources } from "./sources.ts";

/** What a request shows of its sender. */
export interface Credentials {
  readonly authorization: string | undefined;
  readonly signature: string | undefined;
  readonly timestamp: string | undefined;
  /** The name of the client certificate, which a proxy tells in a header. */
  readonly certificate: string | undefined;
  /** Whether the connection comes from one of the proxies that are trusted to tell it. */
  readonly fromTrustedProxy: boolean;
}

export type Sender =
  | { readonly kind: "known"; readonly source: Source }
  /** The signature covers the body: call `verify` once it is read. */
  | { readonly kind: "signed"; readonly verify: (body: Buffer) => Source | undefined }
  | { readonly kind: "refused" };

const ANONYMOUS: Source = {
  name: "anonymous",
  namespaces: null,
  proof: { kind: "token", sha256: [] },
};

/**
 * Says who sends, from the headers alone, so that the body of a stranger is never read. Every secret of every source is
 * compared, so that the time tells nothing.
 */
export function authenticate(credentials: Credentials, sources: Sources, now: Date): Sender {
  const { authorization, certificate, fromTrustedProxy } = credentials;
  if (authorization !== undefined) return known(ownerOf(authorization, sources));
  if (credentials.signature !== undefined) return signedSender(credentials, sources, now);
  if (certificate !== undefined) {
    // From anybody else the header is a forgery, or a proxy that nobody has configured.
    if (!fromTrustedProxy) return { kind: "refused" };
    return known(
      sources.all.find(({ proof }) => proof.kind === "mtls" && proof.names.includes(certificate)),
    );
  }
  return sources.allowAnonymous ? { kind: "known", source: ANONYMOUS } : { kind: "refused" };
}

function known(source: Source | undefined): Sender {
  return source === undefined ? { kind: "refused" } : { kind: "known", source };
}

function ownerOf(authorization: string, { all }: Sources): Source | undefined {
  const presented = presentedToken(authorization);
  if (presented === undefined) return undefined;
  const hash = sha256Hex(presented.token);
  return all.filter(({ proof }) => isToken(proof, presented.scheme, hash)).at(0);
}

function isToken(proof: Proof, scheme: "bearer" | "basic", hash: string): boolean {
  if (proof.kind === "hmac" || proof.kind === "mtls") return false;
  const right = proof.sha256.filter((own) => equalInConstantTime(own, hash)).length > 0;
  return right && (proof.kind === "token" || proof.kind === scheme);
}

/** The token of `Bearer <token>`, or the password of `Basic <base64 user:password>`. */
function presentedToken(
  authorization: string,
): { readonly scheme: "bearer" | "basic"; readonly token: string } | undefined {
  const [, scheme, value] = /^(bearer|basic)\s+(\S+)$/i.exec(authorization) ?? [];
  if (scheme === undefined || value === undefined) return undefined;
  if (scheme.toLowerCase() === "bearer") return { scheme: "bearer", token: value };
  const [, ...password] = Buffer.from(value, "base64").toString("utf8").split(":");
  return { scheme: "basic", token: password.join(":") };
}

function signedSender(headers: SignatureHeaders, { all }: Sources, now: Date): Sender {
  const signers = all.flatMap((source) =>
    source.proof.kind === "hmac" ? source.proof.keys.map((key) => ({ source, key })) : [],
  );
  if (signers.length === 0 || !couldBeSigned(headers, now)) return { kind: "refused" };
  return {
    kind: "signed",
    verify: (body) =>
      signers.filter(({ key }) => verifySignature(key.reveal(), headers, body, now) === "ok").at(0)
        ?.source,
  };
}
