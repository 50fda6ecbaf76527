import { chown, writeFile } from "node:fs/promises";
import { unprivilegedAccount, type Account } from "../../ops/test/account.ts";
import { claimPort } from "../../ops/test/ports.ts";
import { createServerFolder, FOLDER_VARIABLE } from "../../ops/test/workspace.ts";

/** Where one server lives for the length of a test: a folder of its own, a port of its own, never root. */
export interface ServerPlace {
  readonly name: string;
  readonly workspace: string;
  readonly folder: string;
  readonly account: Account;
  readonly port: number;
}

/** Makes room for one server inside the run's folder. */
export async function placeServer(name: string): Promise<ServerPlace> {
  const workspace = fromRun(FOLDER_VARIABLE);
  const account = unprivilegedAccount();
  const folder = await createServerFolder(workspace, name, account);
  return { name, workspace, folder, account, port: await claimPort(workspace) };
}

/** Path of a program that `ops/test/services` found; `name` as in its table, for example PROMETHEUS. */
export function programPath(name: string): string {
  return fromRun(`FETTLE_TEST_BIN_${name}`);
}

/** A loopback port for a service of ours: nobody else of this run gets it, also not while the service is down. */
export async function ownPort(): Promise<number> {
  return claimPort(fromRun(FOLDER_VARIABLE));
}

/** A variable that `ops/test/services run` exports. @throws Error that says how to start the tests */
export function fromRun(variable: string): string {
  const value = process.env[variable];
  if (value === undefined || value === "") {
    throw new Error(
      `${variable} is not set: run "make test", or one file with ` +
        `"ops/test/services run -- node --experimental-vm-modules node_modules/jest/bin/jest.js <file>"`,
    );
  }
  return value;
}

/** Writes a file that the server's user may read and nobody else may. */
export async function writePrivate(
  path: string,
  content: string,
  { uid, gid }: Account,
): Promise<void> {
  await writeFile(path, content, { mode: 0o600 });
  if (uid !== undefined) await chown(path, uid, gid ?? uid);
}
