import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { openLxd } from "../../../hypervisor/backends/lxd/open.ts";
import type { Lxd, LxdOptions } from "../../servers/lxd.ts";
import { relayTo } from "../../servers/relay.ts";
import { programPath } from "../../servers/unprivileged.ts";
import { backendContract } from "./contract.ts";
import { at, kindOf, LIMIT_MS } from "./contract/subject.ts";

const run = promisify(execFile);

/** One of the family: which, and how one of its servers is started. */
interface Kind {
  readonly name: "lxd" | "incus";
  readonly start: (options?: LxdOptions) => Promise<Lxd>;
}

/** What is asked of LXD and of Incus: the contract of all backends, and what only they have. */
// eslint-disable-next-line jest/no-export -- the same tests run on both
export function lxdContract(kind: Kind): void {
  let lxd: Lxd;
  backendContract(
    kind.name,
    [],
    async () => {
      lxd = await kind.start();
      const { socket, image, stop } = lxd;
      const backend = openLxd({ name: kind.name, address: { socket } });
      const clusterAddress = `127.0.0.1:${lxd.port}`;
      const engine = { console: "/dev/console", pool: "default", lingers: "; sleep 0.3" };
      const readIn = async (tar: Buffer) => importInto(lxd, tar);
      return { backend, image, ...engine, clusterAddress, readIn, stop };
    },
    ({ create }) => {
      const server = () => lxd;
      test("takes no variable with the end of a line in it, from whoever", async () => {
        const environment = { A: "b\nlxc.hook.start = /bin/true" };
        expect(await kindOf(create("hooked", { environment }))).toBe("invalid");
      });
      /* eslint-disable jest/expect-expect -- what they do stands below */
      test(
        "an export leaves no image behind, not even those of one that was killed",
        exportsCleanly(kind, server),
        LIMIT_MS,
      );
      test("a second server joins by a token and leaves", joinsAndLeaves(kind), LIMIT_MS);
      test(
        "answers over HTTPS to a client with a trusted certificate only",
        overHttps(kind, server),
        LIMIT_MS,
      );
      /* eslint-enable jest/expect-expect */
    },
  );
}

/** `lxc image import`. */
async function importInto(lxd: Lxd, tar: Buffer): Promise<string> {
  const { fingerprint } = (await lxd.ask("POST", "/1.0/images", tar)) as {
    readonly fingerprint: string;
  };
  return fingerprint;
}

function exportsCleanly({ name }: Kind, server: () => Lxd) {
  return async (): Promise<void> => {
    const lxd = server();
    const backend = openLxd({ name, address: { socket: lxd.socket } });
    const { snapshots, containers } = backend;
    await containers.create({ ...at("packed"), image: lxd.image });
    await snapshots.create({ ...at("packed"), snapshot: "s1" });
    const request = { ...at("packed"), snapshot: "s1", exportId: "op-1" };
    const images = async () => ((await lxd.ask("GET", "/1.0/images")) as string[]).sort();
    const before = await images();
    await snapshots.export(request); // nobody reads it, as if its process had died
    expect(await images()).toHaveLength(before.length + 1);

    for await (const chunk of await snapshots.export({ ...request, exportId: "op-2" }))
      if (chunk.length > 0) break; // given up in the middle

    expect(await images()).toEqual(before);
    await containers.remove(at("packed"));
    await backend.close();
  };
}

function joinsAndLeaves({ name, start }: Kind) {
  return async (): Promise<void> => {
    // Two that share a network, and so without bridges: the second would take those of the first for its own.
    const one = await start({ empty: true });
    const other = await start({ empty: true, beside: one });
    const first = openLxd({ name, address: { socket: one.socket } });
    const second = openLxd({ name, address: { socket: other.socket } });
    // The member's certificate is fetched by us, who are not in that network.
    const relay = await relayTo(one.pid, one.port);
    try {
      await first.clusters.join({ node: "node-1", address: `127.0.0.1:${one.port}` });
      const token = await invite(one, "node-2");
      const join = { node: "node-2", address: `127.0.0.1:${other.port}` };
      const forged = forge(token, { fingerprint: "0".repeat(64) });
      expect(await kindOf(second.clusters.join({ ...join, token: forged }))).toBe("unavailable");
      expect(await second.clusters.join({ ...join, token })).toEqual({
        clustered: true,
        node: "node-2",
        nodes: 2,
      });
      expect((await first.clusters.nodes({})).map(({ node }) => node)).toEqual([
        "node-1",
        "node-2",
      ]);
      await first.clusters.leave({ node: "node-2" });
      expect(await first.clusters.info({})).toMatchObject({ nodes: 1 });
    } finally {
      await Promise.all([first.close(), second.close(), relay.stop()]);
      await other.stop();
      await one.stop();
    }
  };
}

/** As `lxc cluster add` prints it. */
async function invite(member: Lxd, node: string): Promise<string> {
  const { serverName, fingerprint, addresses, secret, expiresAt } = await member.invite(node);
  const token = { server_name: serverName, fingerprint, addresses, secret, expires_at: expiresAt };
  return Buffer.from(JSON.stringify(token)).toString("base64");
}

function forge(token: string, change: object): string {
  const original = JSON.parse(Buffer.from(token, "base64").toString()) as object;
  return Buffer.from(JSON.stringify({ ...original, ...change })).toString("base64");
}

function overHttps({ name }: Kind, server: () => Lxd) {
  return async (): Promise<void> => {
    const lxd = server();
    const folder = await mkdtemp(join(tmpdir(), "fettle-lxd-"));
    const relay = await relayTo(lxd.pid, lxd.port);
    const url = `https://127.0.0.1:${lxd.port}`;
    const { environment } = (await lxd.ask("GET", "/1.0")) as {
      readonly environment: { readonly certificate: string };
    };
    const [trusted, stranger] = [await certificate(folder, "a"), await certificate(folder, "b")];
    await lxd.ask("POST", "/1.0/certificates", {
      type: "client",
      name: "fettle",
      certificate: trusted.cert.replaceAll(/-----[^-]+-----|\s/g, ""),
    });
    const open = (tls: object) => openLxd({ name, address: { url, tls: () => tls } });
    const ca = environment.certificate;
    const backends = [open({ ca, ...trusted }), open({ ca, ...stranger }), open(trusted)];
    const [known, unknown, gullible] = backends;
    try {
      expect(await known?.containers.get(at("many-07"))).toMatchObject({ status: "stopped" });
      expect(await kindOf(unknown?.containers.get(at("many-07")) ?? Promise.resolve())).toBe(
        "unavailable",
      );
      // Without its certificate nobody may say that it is the server.
      expect(await kindOf(gullible?.containers.get(at("many-07")) ?? Promise.resolve())).toBe(
        "unavailable",
      );
      await known?.containers.act({ ...at("many-07"), action: "start" });
      const size = { columns: 80, rows: 24 };
      const command = ["sh", "-c", "exit 4"];
      const terminal = await known?.terminals.open({ ...at("many-07"), ...size, command });
      terminal?.stream.resume();
      expect(await terminal?.exitCode).toBe(4);
    } finally {
      await Promise.all(backends.map(async (each) => each.close()));
      await relay.stop();
      await rm(folder, { recursive: true });
    }
  };
}

async function certificate(folder: string, name: string) {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const subject = ["-nodes", "-days", "2", "-subj", `/CN=${name}`];
  const files = ["-keyout", key, "-out", cert];
  await run(programPath("OPENSSL"), ["req", "-x509", ...curve, ...subject, ...files]);
  return { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") };
}
