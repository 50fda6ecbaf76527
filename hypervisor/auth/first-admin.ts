import type { Database } from "../../lib/postgres.ts";
import type { Secret } from "../../lib/secret.ts";
import { appendDeed } from "../frame/record.ts";
import { oneTimePassword, type Passwords } from "./password.ts";

export interface FirstAdminDeps {
  readonly database: Database;
  readonly passwords: Passwords;
  /** The password that the configuration gives instead of one that is made up and told. */
  readonly password: Secret | undefined;
  /** Tells the one-time password to whoever starts the service: it is in no log and in no table. */
  readonly announce: (text: string) => void;
}

export const DEFAULT_ADMIN = "admin";

/** With no user at all, makes the default admin. There is no default password: it is made up, told once, and must be changed. */
export async function ensureFirstAdmin(deps: FirstAdminDeps): Promise<void> {
  const { database, passwords, password: given, announce } = deps;
  const { rows } = await database.query<{ some: boolean }>(
    "SELECT EXISTS (SELECT FROM hypervisor_users) AS some",
  );
  if (rows[0]?.some === true) return;
  const password = given?.reveal() ?? oneTimePassword();
  const hash = await passwords.hash(password);
  const made = await database.inTransaction(async (tx) => {
    const { rowCount } = await tx.query(
      `INSERT INTO hypervisor_users (username, role, default_admin, password_hash, must_change)
       VALUES ($1, 'Admin', true, $2, true) ON CONFLICT DO NOTHING`,
      [DEFAULT_ADMIN, hash],
    );
    if (rowCount === 0) return false; // another replica was first, and has told its password
    await appendDeed(tx, {
      actor: "fettle",
      action: "UserCreated",
      resource: "user",
      id: DEFAULT_ADMIN,
      result: "Success",
      summary: "Created the default admin at the first start",
      ip: "local",
      organization: undefined,
    });
    return true;
  });
  if (made && given === undefined) {
    announce(
      `The hypervisor's first user is "${DEFAULT_ADMIN}", its one-time password "${password}". It is not shown again; change it with POST /auth/password.\n`,
    );
  }
}
