import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import { readProcess } from "../../ops/test/processes.ts";

const SERVICES = fileURLToPath(new URL("../../ops/test/services", import.meta.url));

/** Prints what a run started: its folder and the numbers of the recorded processes, one word each. */
const REPORT = 'echo $FETTLE_TEST_FOLDER $(ls "$FETTLE_TEST_FOLDER/processes")';

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function services(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      SERVICES,
      args,
      { env: { ...process.env, ...env } },
      (_, stdout, stderr) => {
        resolve({ code: child.exitCode, stdout, stderr });
      },
    );
  });
}

function expectNothingLeft(report: string): void {
  const [folder = "", ...pids] = report.trim().split(" ");
  expect(pids).toHaveLength(2);
  expect(pids.filter((pid) => readProcess(Number(pid)) !== undefined)).toEqual([]);
  expect(existsSync(folder)).toBe(false);
}

test("passes a failed command's exit code on, says nothing itself and leaves nothing running", async () => {
  const { code, stdout, stderr } = await services(["run", "--", "sh", "-c", `${REPORT}; exit 7`]);

  expect({ code, stderr }).toEqual({ code: 7, stderr: "" });
  expectNothingLeft(stdout);
});

test("ends what the command left running in the background", async () => {
  const { stdout } = await services(["run", "--", "sh", "-c", `${REPORT}; sleep 300 & echo $!`]);

  const [report = "", sleeper = ""] = stdout.split("\n");
  expectNothingLeft(report);
  expect(readProcess(Number(sleeper))).toBeUndefined();
});

test("after SIGTERM the command is ended too, and the exit code says by what", async () => {
  const wrapper = spawn(SERVICES, ["run", "--", "sh", "-c", `${REPORT}; exec sleep 300`]);
  const ended = new Promise((resolve) => wrapper.once("exit", resolve));
  const stdout = text(wrapper.stdout);
  await new Promise((resolve) => wrapper.stdout.once("data", resolve));

  wrapper.kill("SIGTERM");

  expect(await ended).toBe(143);
  expectNothingLeft(await stdout);
});

test("after kill -9 of the run its servers and its command are gone within ten seconds", async () => {
  const wrapper = spawn(SERVICES, ["run", "--", "sh", "-c", `${REPORT}; exec sleep 300`]);
  const stdout = text(wrapper.stdout); // ends when the last process that holds it has ended
  await new Promise((resolve) => wrapper.stdout.once("data", resolve));
  const start = performance.now();

  wrapper.kill("SIGKILL");

  const report = await stdout;
  const [folder = ""] = report.split(" ");
  while (existsSync(folder) && performance.now() - start < 10_000) await sleep(50);
  expectNothingLeft(report);
});

test("names a missing server and the command that installs it, and fails", async () => {
  const bin = await mkdtemp(join(tmpdir(), "fettle-path-"));
  const found = Object.entries(process.env).filter(([name]) => name.startsWith("FETTLE_TEST_BIN_"));
  for (const [name, path = ""] of found) {
    if (name !== "FETTLE_TEST_BIN_REDIS_SERVER") await symlink(path, join(bin, basename(path)));
  }

  const { code, stdout, stderr } = await services(["run", "--", "echo", "not reached"], {
    FETTLE_TEST_SEARCH_PATH: bin,
  });
  await rm(bin, { recursive: true });

  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("redis-server  (package redis-server)");
  expect(stderr).toContain("apt-get install -y --no-install-recommends redis-server\n");
});

test("shows the server's own words when a command cannot be run, and the usage for nonsense", async () => {
  expect(await services(["run", "--", "no-such-command"])).toEqual({
    code: 127,
    stdout: "",
    stderr: "services: cannot run no-such-command: spawn no-such-command ENOENT\n",
  });
  expect(await services(["nonsense"])).toMatchObject({ code: 2 });
});
