import { expect, test } from "@jest/globals";
import { createRedactor } from "../../lib/redact.ts";
import { Secret } from "../../lib/secret.ts";

const redact = createRedactor([
  new Secret("canary-secret-1"),
  new Secret('quoted"canary'),
  new Secret("short"),
]);

test("removes configured secrets wherever they stand, also inside JSON", () => {
  const line = JSON.stringify({
    message: 'a canary-secret-1 and quoted"canary',
    env: { X: "canary-secret-1" },
  });

  expect(redact(line)).not.toContain("canary");
});

test("leaves values alone that are too short to be secrets", () => {
  expect(redact("a short text")).toBe("a short text");
});

test.each([
  "xoxb-123456789012-abcdef",
  "Authorization: Bearer abcdefgh12345",
  '{"authorization":"Bearer abcdefgh12345"}',
  "https://hooks.slack.com/services/T000/B000/abcdefgh12345",
  "https://discord.com/api/webhooks/1234/abcdefgh12345",
  "postgres://fettle:abcdefgh12345@db/fettle",
  "/approve?id=apr_1&token=abcdefgh12345",
  "eyJhbGciOiJFZERTQSJ9.abcdefgh12345.sig",
  "-----BEGIN OPENSSH PRIVATE KEY-----\nabcdefgh12345\n-----END OPENSSH PRIVATE KEY-----",
])("removes what looks like a secret: %s", (text) => {
  expect(redact(text)).toContain("[redacted]");
  expect(redact(text)).not.toMatch(/abcdefgh12345|abcdef$/);
});
