import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { requireOtherAdmin } from "../../../hypervisor/people/users.ts";
import type { Database, Queryable } from "../../../lib/postgres.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";

let own: TestDatabase;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  database = openTestDatabase(own.url);
  await database.query(
    "INSERT INTO hypervisor_users (username, role) VALUES ('left', 'Admin'), ('right', 'Admin')",
  );
});
afterAll(async () => {
  await database.close();
  await own.drop();
});

async function demote(tx: Queryable, username: string): Promise<void> {
  await requireOtherAdmin(tx, username);
  await tx.query("UPDATE hypervisor_users SET role = 'Viewer' WHERE username = $1", [username]);
}

/** Somebody waits for a lock that people's changes take. */
async function waits(): Promise<boolean> {
  const { rowCount } = await database.query(
    `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  return rowCount === 1;
}

test("of two admins who are removed at once the second waits for the first, and stays", async () => {
  let second: Promise<string> = Promise.resolve("not begun");
  let isDecided = false;
  await database.inTransaction(async (tx) => {
    await demote(tx, "left");
    second = database
      .inTransaction(async (other) => demote(other, "right"))
      .then(
        () => "demoted",
        (error: unknown) => String((error as { readonly detail?: string }).detail),
      )
      .finally(() => {
        isDecided = true;
      });
    // Without the lock it does not wait: it sees the first one as an admin still.
    await waitUntil("the second to wait, or to be done", async () => isDecided || waits());
  });

  expect(await second).toBe("right is the last admin: make another one first.");
  const { rows } = await database.query(
    "SELECT username FROM hypervisor_users WHERE role = 'Admin' AND enabled",
  );
  expect(rows).toEqual([{ username: "right" }]);
});
