import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { parse } from "yaml";
import { shape } from "../../exporter/config.ts";
import { startSftpServer } from "../servers/openssh.ts";
import { programPath } from "../servers/unprivileged.ts";
import { tempFolder } from "./given.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");

interface Job {
  readonly env: Readonly<Record<string, string>>;
  readonly steps: readonly { readonly name?: string; readonly run?: string }[];
}

async function jobOf(file: string, job: string): Promise<Job> {
  const text = await readFile(join(ROOT, ".github/workflows", file), "utf8");
  const { jobs } = parse(text) as { jobs: Readonly<Record<string, Job>> };
  const found = jobs[job];
  if (found === undefined) throw new Error(`${file} has no job ${job}`);
  return found;
}

/** What the clouds' own libraries read. */
const VENDORS = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

test.each([
  ["export-audit.yml", "export"],
  ["test-audit.yml", "audit"],
])("%s sets only variables that the exporter has", async (file, job) => {
  const { env } = await jobOf(file, job);
  const known = new Set([...Object.values(shape).map(({ name }) => name), ...VENDORS]);

  expect(Object.keys(env).filter((name) => !known.has(name))).toEqual([]);
});

test("export-audit.yml takes away what is set and empty, and leaves the rest", async () => {
  const { steps } = await jobOf("export-audit.yml", "export");
  const script = steps.find(({ run: line }) => line?.includes("unset"))?.run ?? "";
  const env = {
    PATH: process.env["PATH"],
    AWS_REGION: "",
    SFTP_HOST: "h",
    AUDIT_PGP_COMMENT: "a\nb=",
  };

  const { stdout } = await run("bash", ["-ec", script.replace("bin/fettle export", "env")], {
    env,
  });

  expect(stdout).toContain("SFTP_HOST=h");
  expect(stdout).toContain("AUDIT_PGP_COMMENT=a");
  expect(stdout).not.toContain("AWS_REGION");
});

test("export-audit.yml gives the exporter the signing key as a file that nobody else may read", async () => {
  const { steps } = await jobOf("export-audit.yml", "export");
  const script = steps.find(({ run: line }) => line?.includes("unset"))?.run ?? "";
  const folder = await tempFolder();
  const env = { PATH: process.env["PATH"], RUNNER_TEMP: folder.path, SIGNING_KEY: "a\nkey" };
  const told = 'stat -c %a "$AUDIT_SIGNING_KEY_FILE"; cat "$AUDIT_SIGNING_KEY_FILE"; env';

  const { stdout } = await run("bash", ["-ec", script.replace("bin/fettle export", told)], { env });

  await folder.remove();
  expect(stdout).toMatch(/^600\na\nkey\n/);
  expect(stdout).not.toMatch(/^SIGNING_KEY=/m);
});

test.each(["pgp", "pgp+kms"])(
  "the steps of test-audit.yml go through with mode %s",
  async (mode) => {
    const folder = await tempFolder();
    const server = await startSftpServer();
    try {
      const { env: given, steps } = await jobOf("test-audit.yml", "audit");
      const filled = Object.entries(given).map(([name, value]) => [
        name,
        value
          .replace("${{ github.workspace }}", folder.path)
          .replace("${{ matrix.mode }}", mode)
          .replace("${{ matrix.verify }}", "sha256"),
      ]);
      const home = join(folder.path, "gnupg");
      await mkdir(home, { mode: 0o700 });
      await mkdir(join(folder.path, "tools"));
      await writeFile(join(folder.path, "tools/sudo"), "#!/bin/sh\n", { mode: 0o755 });
      await symlink(join(ROOT, "bin"), join(folder.path, "bin"));
      // The container's place is taken by a server of ours, which knows keys and no passwords.
      await symlink(server.folder, join(folder.path, "sftp"));
      const keyscan = programPath("SSH_KEYGEN").replace(/keygen$/, "keyscan");
      const keys = await run(keyscan, ["-p", String(server.port), server.host]);
      await writeFile(join(folder.path, "known_hosts"), keys.stdout);
      const env = {
        ...(Object.fromEntries(filled) as Record<string, string>),
        PATH: `${join(folder.path, "tools")}:${process.env["PATH"] ?? ""}`,
        GNUPGHOME: home,
        SFTP_PORT: String(server.port),
        SFTP_USERNAME: server.username,
        SFTP_PRIVATE_KEY: server.privateKey,
        SFTP_REMOTE_DIR: ".",
      };

      const scripts = steps.filter(({ name }) => name !== undefined && !name.startsWith("start"));
      for (const { run: script = "" } of scripts) {
        await run("bash", ["-eo", "pipefail", "-c", script], { cwd: folder.path, env });
      }

      expect(scripts).toHaveLength(3);
      expect(await readdir(server.folder)).toHaveLength(1);
      await run("gpgconf", ["--kill", "all"], { env: { ...env, GNUPGHOME: home } });
    } finally {
      await server.stop();
      await folder.remove();
    }
  },
  60_000,
);
