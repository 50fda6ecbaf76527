import { expect, test } from "@jest/globals";
import { Secret } from "../../lib/secret.ts";
import { signBody } from "../../lib/signature.ts";
import { authenticate, type AuthenticationHeaders } from "../../runbooks/authenticate.ts";

const credentials = {
  token: new Secret("awh_right-token"),
  hmacKey: new Secret("detector-key"),
  allowAnonymous: false,
};
const none: AuthenticationHeaders = {
  authorization: undefined,
  signature: undefined,
  timestamp: undefined,
};
const now = new Date("2026-11-21T03:00:00Z");
const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

test.each<[string, string, string]>([
  ["the bearer token", "Bearer awh_right-token", "known"],
  ["the scheme in lower case", "bearer awh_right-token", "known"],
  ["the token as basic password", basic("alertmanager:awh_right-token"), "known"],
  ["a wrong token", "Bearer awh_wrong-token", "refused"],
  ["a prefix of the token", "Bearer awh_right", "refused"],
  ["an empty token", "Bearer ", "refused"],
  ["a wrong password", basic("alertmanager:x"), "refused"],
  ["another scheme", "Digest awh_right-token", "refused"],
])("with %s the sender is %s", (_name, authorization, kind) => {
  expect(authenticate({ ...none, authorization }, credentials, now).kind).toBe(kind);
});

test("without a credential nobody is let in, unless anonymous senders are allowed", () => {
  expect(authenticate(none, credentials, now).kind).toBe("refused");
  expect(authenticate(none, { ...credentials, allowAnonymous: true }, now).kind).toBe("known");
});

test("no configured token means that no token is right", () => {
  const sender = authenticate(
    { ...none, authorization: "Bearer undefined" },
    { ...credentials, token: undefined },
    now,
  );

  expect(sender.kind).toBe("refused");
});

const seconds = now.getTime() / 1000;
const body = Buffer.from('{"version":"4"}');

function signed(timestamp: number, key = "detector-key", over: Buffer = body): string | undefined {
  const headers = {
    ...none,
    signature: signBody(key, timestamp, over),
    timestamp: String(timestamp),
  };
  const sender = authenticate(headers, credentials, now);
  return sender.kind === "signed" ? sender.verify(body) : undefined;
}

test("a signature over the time and the body makes the detector known", () => {
  expect(signed(seconds)).toBe("detector");
  expect(signed(seconds - 299)).toBe("detector");
});

test.each<[string, string | undefined]>([
  ["too old", signed(seconds - 301)],
  ["from the future", signed(seconds + 301)],
  ["made with another key", signed(seconds, "other-key")],
  ["of another body", signed(seconds, "detector-key", Buffer.from("{}"))],
])("a signature that is %s is refused", (_name, source) => {
  expect(source).toBeUndefined();
});

test.each<[string, Partial<AuthenticationHeaders>]>([
  ["of the wrong form", { signature: "nonsense", timestamp: String(seconds) }],
  ["without a time", { signature: "0".repeat(64) }],
  ["too old", { signature: "0".repeat(64), timestamp: String(seconds - 301) }],
])("a signature that is %s is refused before the body is read", (_name, headers) => {
  expect(authenticate({ ...none, ...headers }, credentials, now).kind).toBe("refused");
});
