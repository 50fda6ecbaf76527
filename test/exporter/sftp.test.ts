import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import SftpClient from "ssh2-sftp-client";
import { useKeyObjects } from "../../exporter/adapters/sftp-keys.ts";
import { sftpDestination, type SftpOptions } from "../../exporter/adapters/sftp.ts";
import { Secret } from "../../lib/secret.ts";
import { startSftpServer, type SftpServer } from "../servers/openssh.ts";
import { programPath } from "../servers/unprivileged.ts";
import { artifactOf, sftpOptions } from "./given-destination.ts";
import { tempFolder } from "./given.ts";

const run = promisify(execFile);

let server: SftpServer;
let folder: Awaited<ReturnType<typeof tempFolder>>;
let remote: string;

beforeAll(async () => {
  server = await startSftpServer();
});
afterAll(async () => server.stop());
beforeEach(async () => {
  folder = await tempFolder();
  remote = `t-${randomBytes(6).toString("hex")}`;
  await run("mkdir", [join(server.folder, remote)]);
  await chmod(join(server.folder, remote), 0o777);
});
afterEach(async () => folder.remove());

const options = (more: Partial<SftpOptions> = {}): SftpOptions => ({
  ...sftpOptions(server),
  remoteDir: remote,
  ...more,
});
const artifact = async (name: string, content: Buffer) => artifactOf(folder.path, name, content);
const remoteFiles = async () => readdir(join(server.folder, remote));

test.each([
  ["sha256", "read-back-sha256"],
  ["size", "size-only"],
  ["off", "not-verified"],
] as const)("with SFTP_VERIFY=%s the receipt says %s", async (verify, verifiedBy) => {
  const content = randomBytes(700_001);

  const receipt = await sftpDestination(options({ verify })).upload(await artifact("a", content));

  expect(receipt).toMatchObject({ destination: "sftp", verifiedBy, adopted: false });
  expect(receipt.location).toBe(`sftp://${server.host}:${server.port}/${remote}/a`);
  expect(await remoteFiles()).toEqual(["a"]);
  expect((await readFile(join(server.folder, remote, "a"))).equals(content)).toBe(true);
});

test.each(["size", "off", "sha256"] as const)(
  "a file that was spoilt between its building and its sending is not taken for good with SFTP_VERIFY=%s",
  async (verify) => {
    const built = await artifact("a", randomBytes(700_001));
    const bytes = await readFile(built.path);
    bytes.writeUInt8((bytes[300_000] ?? 0) ^ 1, 300_000);
    await writeFile(built.path, bytes);

    const sending = sftpDestination(options({ verify })).upload(built);

    await expect(sending).rejects.toThrow(/is not what was built|reads back as other bytes/);
    const left = verify === "sha256" ? ["a"] : []; // under its name it is for a person to look at
    expect(await remoteFiles()).toEqual(left);
  },
);

test("ssh2 still has its keys where it is given key objects, and understands the server with them", async () => {
  const client = new SftpClient();
  try {
    await client.connect({
      host: server.host,
      port: server.port,
      username: server.username,
      privateKey: server.privateKey,
    });

    expect(useKeyObjects(client)).toBe(true);

    expect((await client.list(".")).map(({ name }) => name)).toContain(remote);
    expect(useKeyObjects(client)).toBe(false); // they are no raw keys any more
  } finally {
    await client.end();
  }
});

test("another host key is refused before anything is sent, and shown", async () => {
  const hostKeys = { fingerprints: ["SHA256:AAAA"], knownHosts: undefined };

  const uploading = sftpDestination(options({ hostKeys })).upload(
    await artifact("a", Buffer.from("x")),
  );

  await expect(uploading).rejects.toThrow(`shows host key ${server.hostKeySha256}`);
  expect(await remoteFiles()).toEqual([]);
});

test("a known_hosts file as ssh-keyscan makes it pins the key, hashed or not", async () => {
  const keyscan = programPath("SSH_KEYGEN").replace(/keygen$/, "keyscan");
  for (const flags of [[], ["-H"]]) {
    const { stdout } = await run(keyscan, [...flags, "-p", String(server.port), server.host]);
    const hostKeys = { fingerprints: [], knownHosts: stdout };

    expect(await sftpDestination(options({ hostKeys })).has("a")).toBe(false);
  }
});

test("a wrong key of ours is an error that names the server", async () => {
  const path = join(folder.path, "id");
  await run(programPath("SSH_KEYGEN"), ["-q", "-t", "ed25519", "-N", "", "-f", path]);
  const privateKey = new Secret(await readFile(path, "utf8"));

  await expect(sftpDestination(options({ privateKey })).has("a")).rejects.toThrow(
    `sftp: ${server.host}:${server.port}: `,
  );
});

test("a private key with a passphrase logs in", async () => {
  const path = join(folder.path, "id");
  await writeFile(path, server.privateKey, { mode: 0o600 });
  await run(programPath("SSH_KEYGEN"), ["-p", "-q", "-P", "", "-N", "pass phrase", "-f", path]);
  const privateKey = new Secret((await readFile(path, "utf8")).replaceAll("\n", "\\n"));
  const passphrase = new Secret("pass phrase");

  expect(await sftpDestination(options({ privateKey, passphrase })).has("a")).toBe(false);
});

test("adopts what an earlier attempt left, and replaces its half-written file", async () => {
  const content = randomBytes(1_000);
  const file = await artifact("a", content);
  const destination = sftpDestination(options({ verify: "off" }));
  await writeFile(join(server.folder, remote, `.a.${file.exportId}.part`), "half");
  await chmod(join(server.folder, remote, `.a.${file.exportId}.part`), 0o666);

  const first = await destination.upload(file);
  const second = await destination.upload(file);

  expect(first.adopted).toBe(false);
  expect(second).toMatchObject({ adopted: true, verifiedBy: "read-back-sha256" });
  expect(await remoteFiles()).toEqual(["a"]);
});

test("never overwrites a foreign file", async () => {
  await writeFile(join(server.folder, remote, "a"), "foreign", { mode: 0o644 });

  const uploading = sftpDestination(options()).upload(await artifact("a", Buffer.from("ours")));

  await expect(uploading).rejects.toThrow(/exists already with other content/);
  expect(await readFile(join(server.folder, remote, "a"), "utf8")).toBe("foreign");
});

test("a missing remote folder is an error, not a folder made by surprise", async () => {
  const uploading = sftpDestination(options({ remoteDir: "nowhere" })).upload(
    await artifact("a", Buffer.from("x")),
  );

  await expect(uploading).rejects.toThrow(/^sftp: .*No such file/);
});

test("a server that accepts and says nothing is given up, and at once when the export is stopped", async () => {
  const silent = await listenSilently();
  const { port } = silent.address() as AddressInfo;
  const stopping = new AbortController();
  setTimeout(() => {
    stopping.abort();
  }, 200);
  const start = Date.now();

  await expect(sftpDestination(options({ port })).has("a", stopping.signal)).rejects.toThrow(
    /stopped/,
  );

  expect(Date.now() - start).toBeLessThan(2_000);
  silent.close();
});

test("a refused connection is an error within a moment", async () => {
  const silent = await listenSilently();
  const { port } = silent.address() as AddressInfo;
  await new Promise((resolve) => silent.close(resolve));

  await expect(sftpDestination(options({ port })).has("a")).rejects.toThrow(/ECONNREFUSED/);
});

async function listenSilently(): Promise<Server> {
  const silent = createServer((socket) => {
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => {
    silent.listen(0, "127.0.0.1", resolve);
  });
  return silent;
}
