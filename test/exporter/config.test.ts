import { expect, test } from "@jest/globals";
import { fingerprintOf, isExpectedHostKey } from "../../exporter/adapters/host-key.ts";
import { readExporterConfig } from "../../exporter/main.ts";
import { namesOf, storedName } from "../../exporter/name.ts";
import { ConfigError } from "../../lib/config.ts";

const GOOD = {
  AIOPS_DATABASE_URL: "postgres://localhost/x",
  AUDIT_EXPORT_DIR: "/tmp/out",
  AUDIT_PGP_PUBLIC_KEY: "-----BEGIN PGP PUBLIC KEY BLOCK-----",
};

function problemsOf(env: Readonly<Record<string, string>>): readonly string[] {
  try {
    readExporterConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

test("needs no more than a database, a recipient and a folder; encryption is on by itself", () => {
  const config = readExporterConfig(GOOD);

  expect(config).toMatchObject({
    encryption: true,
    encMode: "pgp",
    csvFormula: "escape",
    sftpVerify: "sha256",
    host: "127.0.0.1",
    port: 9465,
  });
});

test.each([
  ["no destination", { AUDIT_EXPORT_DIR: "" }, /^AUDIT_EXPORT_DIR: no destination/],
  ["no recipient", { AUDIT_PGP_PUBLIC_KEY: "" }, /^AUDIT_PGP_PUBLIC_KEY: no recipient/],
  ["no wrapping key", { AUDIT_ENC_MODE: "kms" }, /^AWS_KMS_KEY_ID: .* need it/],
  ["an unknown mode", { AUDIT_ENC_MODE: "rot13" }, /^AUDIT_ENC_MODE: must be one of/],
  ["a bad schedule", { AUDIT_EXPORT_CRON: "at noon" }, /^AUDIT_EXPORT_CRON: must be a cron/],
  ["too large parts", { AUDIT_MAX_PART_MB: "2148" }, /^AUDIT_MAX_PART_MB: must be an integer/],
  [
    "armor too large for an envelope",
    {
      AUDIT_MAX_PART_MB: "2000",
      AUDIT_PGP_COMMENT: "x",
      AUDIT_ENC_MODE: "pgp+kms",
      AUDIT_LOCAL_KEY_FILE: "/k",
    },
    /^AUDIT_MAX_PART_MB: must be at most 1500/,
  ],
  [
    "parts too large for an archive",
    { AUDIT_MAX_PART_MB: "301", AUDIT_JSONL: "on" },
    /^AUDIT_MAX_PART_MB: must be at most 300 with AUDIT_JSONL, got 301/,
  ],
  [
    "a quorum of more keys than there are",
    { AUDIT_ENC_MODE: "kms", AUDIT_LOCAL_KEY_FILE: "/k", AUDIT_KMS_QUORUM: "2" },
    /^AUDIT_KMS_QUORUM: must be at most 1/,
  ],
  [
    "a stand-in of Google's elsewhere",
    { AUDIT_ENC_MODE: "kms", AUDIT_LOCAL_KEY_FILE: "/k", GCP_KMS_ENDPOINT: "http://kms.example" },
    /^GCP_KMS_ENDPOINT: must be on this machine/,
  ],
  [
    "a key vault without TLS",
    { AUDIT_ENC_MODE: "kms", AZURE_KV_KEY_ID: "http://v.vault.azure.net/keys/k" },
    /^AZURE_KV_KEY_ID: must be an https/,
  ],
  ["a bad zone", { AUDIT_EXPORT_TZ: "Zagreb" }, /^AUDIT_EXPORT_TZ: must be a time zone/],
  [
    "hashed names without salt",
    { AUDIT_FILENAME_MODE: "hashed" },
    /^AUDIT_FILENAME_SALT: needs 16/,
  ],
  [
    "a short salt",
    { AUDIT_FILENAME_MODE: "hashed", AUDIT_FILENAME_SALT: "0123456789abcde" },
    /^AUDIT_FILENAME_SALT: needs 16/,
  ],
  [
    "a comment of two lines",
    { AUDIT_PGP_COMMENT: "a\nVersion: x" },
    /^AUDIT_PGP_COMMENT: must be one/,
  ],
  ["a long comment", { AUDIT_PGP_COMMENT: "x".repeat(201) }, /^AUDIT_PGP_COMMENT: must be one/],
])("refuses %s, by the variable's name", (_what, change, message) => {
  expect(problemsOf({ ...GOOD, ...change })).toEqual([expect.stringMatching(message)]);
});

test("reports everything that SFTP lacks at once, and shows no secret", () => {
  const problems = problemsOf({ ...GOOD, SFTP_HOST: "backup.example.org" });

  expect(problems).toEqual([
    expect.stringMatching(/^SFTP_USERNAME: is required/),
    expect.stringMatching(/^SFTP_PASSWORD: give a password or SFTP_PRIVATE_KEY/),
    expect.stringMatching(/^SFTP_HOST_KEY_SHA256: the server's host key must be pinned/),
  ]);
});

test("demo rows do not leave the machine unless somebody insists", () => {
  const env = {
    ...GOOD,
    AIOPS_DATABASE_URL: "mock",
    SFTP_HOST: "backup.example.org",
    SFTP_USERNAME: "u",
    SFTP_PASSWORD: "p",
    SFTP_HOST_KEY_SHA256: "SHA256:x",
  };

  expect(problemsOf(env)).toEqual([expect.stringMatching(/demo rows stay on this machine/)]);
  expect(problemsOf({ ...env, AUDIT_MOCK_FORCE: "on" })).toEqual([]);
  expect(problemsOf({ ...env, SFTP_HOST: "127.0.0.1" })).toEqual([]);
});

test("names count up within a day of UTC, and hashed ones need the salt to be guessed", () => {
  const names = namesOf(new Date("2025-11-21T23:59:59.999Z"));

  expect([names.next().value, names.next().value]).toEqual([
    "audit-20251121.csv",
    "audit-20251121.2.csv",
  ]);
  const masked = storedName("audit-20251121.csv", "0123456789abcdef");
  expect(masked).toMatch(/^[0-9a-f]{32}\.csv$/);
  expect(storedName("audit-20251121.csv", "0123456789abcdeg")).not.toBe(masked);
});

const HOST_KEY = Buffer.from(
  "AAAAC3NzaC1lZDI1NTE5AAAAIKm0gSfHBPDFWvoT6OzhcFyOLd+2yTOLdBZ0N8lQV6Hr",
  "base64",
);
const BLOB = HOST_KEY.toString("base64");
const HOST = { host: "sftp.example.org", port: 2222 };
const HASHED = "|1|AAECAwQFBgcICQoLDA0ODxAREhM=|";

test.each([
  ["its fingerprint", { fingerprints: ["SHA256:other", fingerprintOf(HOST_KEY)] }, true],
  ["its fingerprint without prefix", { fingerprints: [fingerprintOf(HOST_KEY).slice(7)] }, true],
  ["another fingerprint", { fingerprints: ["SHA256:other"] }, false],
  ["a line for host and port", { knownHosts: `[sftp.example.org]:2222 ssh-ed25519 ${BLOB}` }, true],
  ["a line for another port", { knownHosts: `sftp.example.org ssh-ed25519 ${BLOB}` }, false],
  ["a pattern", { knownHosts: `[*.example.org]:2222 ssh-ed25519 ${BLOB}` }, true],
  ["an excluded host", { knownHosts: `![sftp.*]:2222,[*]:2222 ssh-ed25519 ${BLOB}` }, false],
  ["a comment", { knownHosts: `# [sftp.example.org]:2222 ssh-ed25519 ${BLOB}` }, false],
  [
    "a revoked key",
    {
      knownHosts: `[sftp.example.org]:2222 ssh-ed25519 ${BLOB}\n@revoked * ssh-ed25519 ${BLOB}`,
    },
    false,
  ],
  ["a hashed name of another host", { knownHosts: `${HASHED}AAAA ssh-ed25519 ${BLOB}` }, false],
  ["nothing", {}, false],
])("a host key pinned by %s", (_what, pins, expected) => {
  const all = { fingerprints: [], knownHosts: undefined, ...pins };

  expect(isExpectedHostKey(HOST_KEY, HOST, all)).toBe(expected);
});
