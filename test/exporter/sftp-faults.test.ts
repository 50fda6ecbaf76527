import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { exportOnce } from "../../exporter/main.ts";
import { systemClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import { startTcpProxy } from "../fakes/tcp-proxy.ts";
import { startSftpServer, type SftpServer, type SftpServerOptions } from "../servers/openssh.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, folderConfig, sftpVariables } from "./given.ts";

let trail: Trail;
let sftp: SftpServer | undefined;

beforeEach(async () => {
  trail = await givenTrail();
});
afterEach(async () => {
  await sftp?.stop();
  sftp = undefined;
  await trail.remove();
});

async function start(options?: SftpServerOptions): Promise<SftpServer> {
  sftp = await startSftpServer(options);
  return sftp;
}

const configFor = async (server: SftpServer, more: Readonly<Record<string, string>> = {}) =>
  folderConfig(trail.folder, trail.url, { ...sftpVariables(server), ...more });
const exportsOf = async (config: Awaited<ReturnType<typeof configFor>>) =>
  exportOnce(config, silentLog);

/** It works, and the next run gives it what it lacks: the same as the folder has. */
async function expectWhole(server: SftpServer, rows: number): Promise<void> {
  const result = await exportsOf(await configFor(server));
  expect(result).toMatchObject({ outcome: "exported", resumed: true, rows });
  const [file] = await readdir(server.folder);
  expect(await readdir(server.folder)).toEqual(await readdir(join(trail.folder, "out")));
  const [there, here] = await Promise.all([
    readFile(join(server.folder, file ?? "")),
    readFile(join(trail.folder, "out", file ?? "")),
  ]);
  expect(there.equals(here)).toBe(true);
}

test("a server that is full in the middle of a file keeps nothing of it, and gets it when there is room", async () => {
  const server = await start({ roomBytes: 1_000_000 });
  await addRows(trail.client, 2_000);
  const filler = join(server.folder, "somebody-else");
  await writeFile(filler, Buffer.alloc(700_000));

  const failing = exportsOf(await configFor(server));

  await expect(failing).rejects.toThrow(/^sftp: .*Failure/);
  expect(await readdir(server.folder)).toEqual(["somebody-else"]);
  const [built] = await readdir(join(trail.folder, "out"));
  const { size } = await stat(join(trail.folder, "out", built ?? ""));
  expect(size).toBeGreaterThan(300_000); // so it was the room
  await rm(filler);
  await expectWhole(server, 2_000);
});

test("a server that has other bytes than it was sent is found out by reading them back", async () => {
  const server = await start();
  const proxy = await startTcpProxy({ host: server.host, port: server.port });
  await addRows(trail.client, 2_000);
  // Between the last byte's arrival and the reading there are six ways through the proxy.
  await proxy.setMode({ kind: "delay", milliseconds: 50 });
  const config = await configFor(server, { SFTP_PORT: String(proxy.port) });
  let isOver = false;
  const spoil = async () => {
    while (!isOver) {
      const whole = (await readdir(server.folder)).find((name) => !name.startsWith("."));
      if (whole !== undefined) {
        const path = join(server.folder, whole);
        const bytes = await readFile(path);
        bytes.writeUInt8((bytes[1_000] ?? 0) ^ 1, 1_000);
        await writeFile(path, bytes);
        return path;
      }
      await systemClock.sleep(1);
    }
    return "";
  };

  const spoiling = spoil();
  const failure: unknown = await exportsOf(config).then(
    () => "it succeeded",
    (error: unknown) => (error as Error).message,
  );
  isOver = true;
  const path = await spoiling;
  await proxy.stop();

  expect(failure).toMatch(/^sftp: .* reads back as other bytes than were sent/);
  await expect(exportsOf(await configFor(server))).rejects.toThrow(
    "exists already with other content", // a person has to look; nobody overwrites it
  );
  await rm(path);
  await expectWhole(server, 2_000);
});

test.each([
  ["talks before it serves", "echo Welcome to the company's server", /^sftp: 127\.0\.0\.1:\d+: /],
  ["ends at once", "exit 0", /^sftp: 127\.0\.0\.1:\d+: /],
])("a server whose session %s is an error, and no hang", async (_what, command, message) => {
  const server = await start({ command: `sh -c "${command}"` });
  await addRows(trail.client, 1);

  await expect(exportsOf(await configFor(server))).rejects.toThrow(message);
});
