import { randomBytes } from "node:crypto";
import { watch } from "node:fs";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { sftpDestination, type SftpOptions } from "../../exporter/adapters/sftp.ts";
import { DestinationError } from "../../exporter/destination-error.ts";
import { Secret } from "../../lib/secret.ts";
import { startChrootedSftpServer, type ChrootedSftpServer } from "../servers/openssh-chroot.ts";
import { artifactOf, downloaded } from "./given-destination.ts";
import { tempFolder } from "./given.ts";

let server: ChrootedSftpServer | undefined;
let folder: Awaited<ReturnType<typeof tempFolder>>;

beforeAll(async () => {
  server = await startChrootedSftpServer();
});
afterAll(async () => server?.stop());
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => {
  await folder.remove();
  for (const name of await readdir(onDisk())) await rm(onDisk(name));
});

const running = () => {
  if (server === undefined) throw new Error("the server was not started");
  return server;
};
const onDisk = (name = "") => join(running().root, running().folder, name);
const artifact = async (name: string, content: Buffer) => artifactOf(folder.path, name, content);
const destination = (more: Partial<SftpOptions> = {}) => {
  const { host, port, username, password, hostKeySha256, folder: remoteDir } = running();
  return sftpDestination({
    ...{ host, port, username, remoteDir },
    password: new Secret(password),
    privateKey: undefined,
    passphrase: undefined,
    verify: "sha256",
    hostKeys: { fingerprints: [hostKeySha256], knownHosts: undefined },
    ...more,
  });
};

test("the right password uploads, and the file is read back from inside the chroot", async () => {
  const content = randomBytes(3_000_001);

  const receipt = await destination().upload(await artifact("a", content));

  expect(receipt).toMatchObject({ verifiedBy: "read-back-sha256", adopted: false });
  const { host, port } = running();
  expect(receipt.location).toBe(`sftp://${host}:${port}/incoming/a`);
  expect(await readdir(onDisk())).toEqual(["a"]);
  expect((await readFile(onDisk("a"))).equals(content)).toBe(true);
  expect((await stat(onDisk("a"))).mode & 0o777).toBe(0o600);
});

test("a wrong password is refused, and the error names the server and neither password", async () => {
  const wrong = "wrong-battery-staple";
  const { host, port, password } = running();
  const refused = destination({ password: new Secret(wrong) });

  const error = await refused.upload(await artifact("a", randomBytes(10))).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

  expect(error).toBeInstanceOf(DestinationError);
  expect(String(error)).toContain(`${host}:${port}: `);
  expect(String(error)).toMatch(/authentication methods failed/);
  const all = inspect(error, { depth: Infinity, showHidden: true });
  expect(all).not.toContain(wrong);
  expect(all).not.toContain(password);
  expect(await readdir(onDisk())).toEqual([]);
});

test("a server that asks for the password by PAM (keyboard-interactive) is answered once, and a wrong one is refused", async () => {
  const asking = await startChrootedSftpServer("keyboard");
  try {
    const { host, port, username, hostKeySha256 } = asking;
    const at = (password: string) =>
      destination({
        ...{ host, port, username, password: new Secret(password) },
        hostKeys: { fingerprints: [hostKeySha256], knownHosts: undefined },
      });
    const content = randomBytes(100_000);

    const receipt = await at(asking.password).upload(await artifact("a", content));
    const refused = at("wrong-battery-staple").upload(await artifact("b", content));

    expect(receipt).toMatchObject({ verifiedBy: "read-back-sha256" });
    await expect(refused).rejects.toThrow(/authentication methods failed/);
    expect(await readdir(join(asking.root, asking.folder))).toEqual(["a"]);
  } finally {
    await asking.stop();
  }
});

test("a file gets its name by a rename, when it is whole", async () => {
  const seen: string[] = [];
  const watcher = watch(onDisk(), (kind, name) => {
    if (kind === "rename" && name !== null) seen.push(name);
  });
  try {
    const parcel = await artifact("a", randomBytes(1_000_000));
    await destination().upload(parcel);
    while (!seen.includes("a")) await new Promise((resolve) => setTimeout(resolve, 10));

    expect(seen[0]).toBe(`.a.${parcel.exportId}.part`);
    expect(seen.indexOf("a")).toBeGreaterThan(0);
    expect(await readdir(onDisk())).toEqual(["a"]);
  } finally {
    watcher.close();
  }
});

test("what is there is listed, downloaded and removed", async () => {
  const content = randomBytes(300_000);
  await destination().upload(await artifact("audit-1", content));
  await writeFile(onDisk("other"), "");

  expect(await destination().list("audit-")).toEqual(["audit-1"]);
  expect(await destination().has("audit-1")).toBe(true);
  const copy = await downloaded(destination(), "audit-1", folder.path);
  expect(copy.equals(content)).toBe(true);

  await destination().remove("audit-1");
  await destination().remove("audit-1");

  expect(await destination().has("audit-1")).toBe(false);
  expect(await readdir(onDisk())).toEqual(["other"]);
});

test("a name that holds other bytes is refused, and keeps them", async () => {
  await destination().upload(await artifact("a", Buffer.from("first")));

  const second = destination().upload(await artifact("a", Buffer.from("second")));

  await expect(second).rejects.toThrow(DestinationError);
  expect(await readdir(onDisk())).toEqual(["a"]);
  expect(await readFile(onDisk("a"), "utf8")).toBe("first");
});

test("sessions see the chroot and nothing above it", async () => {
  for (const remoteDir of [".", "/", "../../.."]) {
    expect(await destination({ remoteDir }).list("")).toEqual(["incoming"]);
  }
  expect(await destination({ remoteDir: "/etc" }).list("")).toEqual([]);
});

test("the chroot's own root, which is root's, takes no file, and the error says why", async () => {
  const uploading = destination({ remoteDir: "/" }).upload(await artifact("a", randomBytes(10)));

  await expect(uploading).rejects.toThrow(/permission denied/i);
  expect(await readdir(running().root)).toEqual(["incoming"]);
});

test("the server's user and its mounts are nobody else's", async () => {
  const { username, root } = running();
  for (const file of ["/etc/passwd", "/etc/shadow", "/etc/group"]) {
    expect(await readFile(file, "utf8")).not.toContain(username);
  }
  expect(await readFile("/proc/self/mounts", "utf8")).not.toContain(join(root, ".."));
});
