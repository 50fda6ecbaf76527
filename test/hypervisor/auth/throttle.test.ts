import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { countGuess, forgetGuesses } from "../../../hypervisor/auth/throttle.ts";
import type { Database } from "../../../lib/postgres.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";

let own: TestDatabase;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  database = openTestDatabase(own.url);
  await database.query("INSERT INTO hypervisor_users (username, role) VALUES ('ana', 'Viewer')");
});
afterAll(async () => {
  await database.close();
  await own.drop();
});
beforeEach(async () => {
  await database.query("DELETE FROM hypervisor_login_failures");
});

async function guess(ip: string, username = "ana"): Promise<boolean> {
  return countGuess(database, { username, ip }).then(
    () => true,
    () => false,
  );
}

/** @returns how many of them were looked at */
async function guesses(count: number, of: (nth: number) => Promise<boolean>): Promise<number> {
  let passed = 0;
  for (let nth = 0; nth < count; nth += 1) if (await of(nth)) passed += 1;
  return passed;
}

test("who has no guess left at an account does not use up those of everybody else", async () => {
  expect(await guesses(20, async () => guess("192.0.2.1"))).toBe(5);
  expect(await guesses(20, async () => guess("192.0.2.2"))).toBe(5);

  expect(await guess("192.0.2.3")).toBe(true);
});

test("the 64 bits of an IPv6 network are one address", async () => {
  expect(await guesses(20, async (nth) => guess(`2001:db8:0:1::${nth}`))).toBe(5);
  expect(await guesses(30, async (nth) => guess(`2001:db8:0:2::${nth}`, `user-${nth}`))).toBe(20);

  expect(await guess("2001:db8:0:3::1")).toBe(true);
});

test("an IPv4 address is one client, also where the system shows it as IPv6", async () => {
  const forms = ["192.0.2.9", "::ffff:192.0.2.9", "::ffff:c000:209"];
  expect(await guesses(12, async (nth) => guess(forms[nth % 3] ?? ""))).toBe(5);

  expect(await guess("::ffff:192.0.2.10")).toBe(true); // and no two of them are one
});

test("an account that is guessed at from everywhere stays open where its owner has signed in lately", async () => {
  await forgetGuesses(database, { username: "ana", ip: "192.0.2.200" });

  expect(await guesses(40, async (nth) => guess(`192.0.2.${nth}`))).toBe(30);

  expect([await guess("192.0.2.201"), await guess("192.0.2.200")]).toEqual([false, true]);
  await database.query(
    "UPDATE hypervisor_login_addresses SET seen_at = now() - interval '31 days'",
  );
  expect(await guess("192.0.2.200")).toBe(false);
});
