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
  expect(authenticate({ ...none, authorization }, credentials).kind).toBe(kind);
});

test("without a credential nobody is let in, unless anonymous senders are allowed", () => {
  expect(authenticate(none, credentials).kind).toBe("refused");
  expect(authenticate(none, { ...credentials, allowAnonymous: true }).kind).toBe("known");
});

test("no configured token means that no token is right", () => {
  const sender = authenticate(
    { ...none, authorization: "Bearer undefined" },
    { ...credentials, token: undefined },
  );

  expect(sender.kind).toBe("refused");
});

const now = new Date("2026-11-21T03:00:00Z");
const seconds = now.getTime() / 1000;
const body = Buffer.from('{"version":"4"}');

function signed(timestamp: number, key = "detector-key", over: Buffer = body): string | undefined {
  const headers = {
    ...none,
    signature: signBody(key, timestamp, over),
    timestamp: String(timestamp),
  };
  const sender = authenticate(headers, credentials);
  return sender.kind === "signed" ? sender.verify(body, now) : undefined;
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
