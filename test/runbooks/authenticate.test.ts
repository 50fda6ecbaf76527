import { expect, test } from "@jest/globals";
import { sha256Hex } from "../../lib/canonical.ts";
import { Secret } from "../../lib/secret.ts";
import { signBody } from "../../lib/signature.ts";
import { authenticate, type Credentials } from "../../runbooks/authenticate.ts";
import type { Proof, Sources } from "../../runbooks/sources.ts";

const tokens = (...all: string[]) => all.map(sha256Hex);
const sources = given({
  alertmanager: { kind: "token", sha256: tokens("awh_right-token") },
  detector: { kind: "hmac", keys: [new Secret("detector-key")] },
  "team-a": { kind: "bearer", sha256: tokens("awh_team-a-old", "awh_team-a-new") },
  "team-b": { kind: "basic", sha256: tokens("awh_team-b") },
  grafana: { kind: "hmac", keys: [new Secret("grafana-key-1"), new Secret("grafana-key-2")] },
  mesh: { kind: "mtls", names: ["spiffe://mesh/alertmanager"] },
});

function given(proofs: Record<string, Proof>, allowAnonymous = false): Sources {
  return {
    all: Object.entries(proofs).map(([name, proof]) => ({ name, namespaces: null, proof })),
    allowAnonymous,
    sourceNamespacesOf: () => null,
  };
}

const none: Credentials = {
  authorization: undefined,
  signature: undefined,
  timestamp: undefined,
  certificate: undefined,
  fromTrustedProxy: false,
};
const now = new Date("2026-11-21T03:00:00Z");
const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

function senderOf(credentials: Partial<Credentials>, all = sources): string {
  const sender = authenticate({ ...none, ...credentials }, all, now);
  return sender.kind === "known" ? sender.source.name : sender.kind;
}

test.each<[string, string, string]>([
  ["the bearer token", "Bearer awh_right-token", "alertmanager"],
  ["the scheme in lower case", "bearer awh_right-token", "alertmanager"],
  ["the token as basic password", basic("alertmanager:awh_right-token"), "alertmanager"],
  ["a wrong token", "Bearer awh_wrong-token", "refused"],
  ["a prefix of the token", "Bearer awh_right", "refused"],
  ["an empty token", "Bearer ", "refused"],
  ["a wrong password", basic("alertmanager:x"), "refused"],
  ["another scheme", "Digest awh_right-token", "refused"],
  ["a team's old token", "Bearer awh_team-a-old", "team-a"],
  ["its new one", "Bearer awh_team-a-new", "team-a"],
  ["a bearer token as a password", basic("x:awh_team-a-new"), "refused"],
  ["a password", basic("x:awh_team-b"), "team-b"],
  ["a password as a bearer token", "Bearer awh_team-b", "refused"],
  ["a token's hash", `Bearer ${sha256Hex("awh_right-token")}`, "refused"],
  ["a signing key as a token", "Bearer detector-key", "refused"],
])("with %s the sender is %s", (_name, authorization, expected) => {
  expect(senderOf({ authorization })).toBe(expected);
});

test("without a credential nobody is let in, unless anonymous senders are allowed", () => {
  expect(senderOf({})).toBe("refused");
  expect(senderOf({}, given({}, true))).toBe("anonymous");
});

test("no configured token means that no token is right", () => {
  expect(senderOf({ authorization: "Bearer undefined" }, given({}))).toBe("refused");
});

test.each<[string, Partial<Credentials>, string]>([
  ["its name, from a trusted proxy", { fromTrustedProxy: true }, "mesh"],
  ["its name, from anybody else", {}, "refused"],
  [
    "another name, from a trusted proxy",
    { fromTrustedProxy: true, certificate: "spiffe://mesh/other" },
    "refused",
  ],
  [
    "two names, from a trusted proxy",
    { fromTrustedProxy: true, certificate: "x, spiffe://mesh/alertmanager" },
    "refused",
  ],
])("a client certificate known by %s makes the sender %s", (_name, more, expected) => {
  const certificate = "spiffe://mesh/alertmanager";

  expect(senderOf({ certificate, ...more })).toBe(expected);
});

test("a forged header of a certificate is refused also where anonymous senders are let in", () => {
  expect(senderOf({ certificate: "x" }, given({}, true))).toBe("refused");
});

const seconds = now.getTime() / 1000;
const body = Buffer.from('{"version":"4"}');

function signed(timestamp: number, key = "detector-key", over: Buffer = body): string | undefined {
  const signature = signBody(key, timestamp, over);
  const sender = authenticate({ ...none, signature, timestamp: String(timestamp) }, sources, now);
  return sender.kind === "signed" ? sender.verify(body)?.name : undefined;
}

test("a signature over the time and the body makes its sender known, by either of two keys", () => {
  expect(signed(seconds)).toBe("detector");
  expect(signed(seconds - 299)).toBe("detector");
  expect(signed(seconds, "grafana-key-1")).toBe("grafana");
  expect(signed(seconds, "grafana-key-2")).toBe("grafana");
});

test.each<[string, string | undefined]>([
  ["too old", signed(seconds - 301)],
  ["from the future", signed(seconds + 301)],
  ["made with another key", signed(seconds, "other-key")],
  ["made with a token", signed(seconds, "awh_right-token")],
  ["of another body", signed(seconds, "detector-key", Buffer.from("{}"))],
])("a signature that is %s is refused", (_name, source) => {
  expect(source).toBeUndefined();
});

test.each<[string, Partial<Credentials>]>([
  ["of the wrong form", { signature: "nonsense", timestamp: String(seconds) }],
  ["without a time", { signature: "0".repeat(64) }],
  ["too old", { signature: "0".repeat(64), timestamp: String(seconds - 301) }],
])("a signature that is %s is refused before the body is read", (_name, headers) => {
  expect(senderOf(headers)).toBe("refused");
});
