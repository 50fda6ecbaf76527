import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ensureFirstAdmin } from "../../../hypervisor/auth/first-admin.ts";
import { keysOfDatabase, keysOfFiles } from "../../../hypervisor/auth/keys.ts";
import { createPasswords } from "../../../hypervisor/auth/password.ts";
import { readHypervisorConfig } from "../../../hypervisor/main.ts";
import type { Database } from "../../../lib/postgres.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { rowsOf } from "../frame/given.ts";

const passwords = createPasswords(undefined);
let own: TestDatabase;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  database = openTestDatabase(own.url);
});
afterAll(async () => {
  await database.close();
  await own.drop();
});

test("of three replicas that start at once one makes the admin, and tells a password that works, once", async () => {
  const told: string[] = [];
  const start = async () =>
    ensureFirstAdmin({
      database,
      passwords,
      password: undefined,
      announce: (text) => told.push(text),
    });

  await Promise.all([start(), start(), start()]);
  await start();

  expect(told).toHaveLength(1);
  const password = /one-time password "([\w-]{20})"/.exec(told[0] ?? "")?.[1] ?? "";
  const { rows } = await database.query<{
    password_hash: string;
    must_change: boolean;
    role: string;
  }>("SELECT password_hash, must_change, role FROM hypervisor_users");
  expect(rows).toEqual([{ password_hash: expect.any(String), must_change: true, role: "Admin" }]);
  expect(await passwords.verify(password, rows[0]?.password_hash ?? null)).toBe("right");
  expect((await rowsOf(database)).map(({ actor, event }) => `${actor} ${event}`)).toEqual([
    "fettle UserCreated",
  ]);
});

test("replicas that start at once agree on one signing key, and a second look finds a newer one", async () => {
  const [first, second] = [keysOfDatabase(database), keysOfDatabase(database)];

  const rings = await Promise.all([first.ring(), second.ring()]);

  expect(rings[0].current.kid).toBe(rings[1].current.kid);
  await database.query(
    "UPDATE hypervisor_signing_keys SET created_at = now() - interval '91 days'",
  );
  const rotated = await keysOfDatabase(database).ring();
  expect(rotated.current.kid).not.toBe(rings[0].current.kid);
  expect([...rotated.byId.keys()]).toEqual([rotated.current.kid, rings[0].current.kid]);
});

test("keys of files: the first signs, both are believed, anything else is named", async () => {
  const folder = mkdtempSync(join(tmpdir(), "fettle-keys-"));
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const pem = () =>
    generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const [now, old] = [write("now.pem", pem()), write("old.pem", pem())];
  const wrong = write("rsa.pem", rsa.export({ type: "pkcs8", format: "pem" }).toString());

  const { current, byId } = await keysOfFiles([now, old]).ring();

  expect([...byId.keys()][0]).toBe(current.kid);
  expect(byId.size).toBe(2);
  for (const path of [wrong, write("empty.pem", ""), join(folder, "none.pem")])
    expect(() => keysOfFiles([path])).toThrow(`${path}: is no Ed25519 private key`);
  rmSync(folder, { recursive: true });
});

test.each([
  [{ HYPERVISOR_ADMIN_PASSWORD: "admin" }, /HYPERVISOR_ADMIN_PASSWORD: must have 12/],
  [{ HYPERVISOR_JWT_OLD_KEY_FILE: "/x" }, /HYPERVISOR_JWT_KEY_FILE: is required/],
  [{ HYPERVISOR_CORS_ORIGINS: "*" }, /HYPERVISOR_CORS_ORIGINS: must be origins/],
  [{ HYPERVISOR_CORS_ORIGINS: "null" }, /HYPERVISOR_CORS_ORIGINS: must be origins/],
  [{ HYPERVISOR_CORS_ORIGINS: "https://a.example.com/path" }, /must be origins/],
  [{ HYPERVISOR_TRUSTED_PROXIES: "10.0.0.0/33" }, /HYPERVISOR_TRUSTED_PROXIES: must be IP/],
  [{ HYPERVISOR_REQUESTS_PER_MINUTE: "0" }, /HYPERVISOR_REQUESTS_PER_MINUTE/],
])("%j is refused at the start", (env, problem) => {
  expect(() => readHypervisorConfig({ AIOPS_DATABASE_URL: "postgres://x", ...env })).toThrow(
    problem,
  );
});
