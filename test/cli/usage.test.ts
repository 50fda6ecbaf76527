import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { version } from "../../lib/version.ts";
import { givenWorkplace, type Workplace } from "./given.ts";

/** Nobody listens on port 9 of loopback. */
const NO_DATABASE = "postgres://ana:canary-password@127.0.0.1:9/fettle";

let workplace: Workplace;

beforeAll(async () => {
  workplace = await givenWorkplace();
});
afterAll(async () => workplace.remove());

describe("help", () => {
  test("tells of every command, and each command tells of itself", async () => {
    const { code, stdout } = await workplace.fettle(["--help"]);
    const [, list = ""] = stdout.split("Commands:\n");
    const commands = [...list.matchAll(/^ {2}([a-z0-9-]+)/gm)].map(([, name = ""]) => name);

    expect(code).toBe(0);
    expect(commands).toEqual(
      expect.arrayContaining(
        "demo all detector runbooks exporter hypervisor migrate runs approve reject export decrypt".split(
          " ",
        ),
      ),
    );
    for (const name of commands.filter((command) => command !== "help")) {
      const help = await workplace.fettle([name, "--help"]);
      expect(help).toMatchObject({ code: 0, stderr: "" });
      expect(help.stdout).toMatch(new RegExp(`^Usage: fettle ${name}.*\n\n\\w`));
    }
  });

  test("names the exit codes that a script may rely on, and the version", async () => {
    expect((await workplace.fettle(["--help"])).stdout).toContain(
      "Exit codes: 0 done, 1 error, 2 wrong usage or configuration, 3 refused, 4 not found, 5 not available now.",
    );
    expect((await workplace.fettle(["--version"])).stdout).toBe(`${version}\n`);
  });
});

test.each([
  ["nothing", [], "Usage: fettle"],
  ["an unknown command", ["remediate"], "unknown command 'remediate'"],
  ["an unknown option", ["runs", "--bogus"], "unknown option '--bogus'"],
  ["too many words", ["migrate", "now"], "too many arguments"],
  ["an approval by nobody", ["approve", "run_1"], "required option '--as <approver>'"],
  ["a decryption of nothing", ["decrypt"], "missing required argument 'file'"],
  [
    "a limit that is no number",
    ["runs", "--limit", "many"],
    "--limit must be an integer from 1 to 1000",
  ],
])("%s is wrong usage: 2, said on stderr", async (_name, args, message) => {
  const ended = await workplace.fettle(args);

  expect(ended).toMatchObject({ code: 2, stdout: "" });
  expect(ended.stderr).toContain(message);
});

describe("configuration", () => {
  test("with several problems is refused with all of them at once, and without a secret's value", async () => {
    const { code, stderr } = await workplace.fettle(["runbooks"], {
      RUNBOOKS_PORT: "http",
      RUNBOOK_CIRCUIT_MAX_HOURLY: "-1",
      RUNBOOK_AUTOFIX_ENABLED: "perhaps",
      RUNBOOK_WEBHOOK_TOKEN_FILE: "/no/such/file",
    });

    expect(code).toBe(2);
    for (const problem of [
      "AIOPS_DATABASE_URL: is required",
      'RUNBOOKS_PORT: must be an integer from 0 to 65535, got "http"',
      'RUNBOOK_CIRCUIT_MAX_HOURLY: must be an integer from 0 to 1000, got "-1"',
      'RUNBOOK_AUTOFIX_ENABLED: must be true or false (on, off), got "perhaps"',
      "RUNBOOK_WEBHOOK_TOKEN_FILE: cannot be read",
    ]) {
      expect(stderr).toContain(problem);
    }
  });

  test.each([
    ["runs", ["runs"]],
    ["approve", ["approve", "run_1", "--as", "ana"]],
    ["migrate", ["migrate"]],
    ["export", ["export"]],
    ["runbooks", ["runbooks"]],
    ["hypervisor", ["hypervisor"]],
    ["exporter", ["exporter"]],
  ])("without a database's address %s ends with 2 and names the variable", async (_name, args) => {
    const { code, stderr } = await workplace.fettle(args);

    expect(code).toBe(2);
    expect(stderr).toContain("AIOPS_DATABASE_URL: is required");
  });

  test.each([["runs"], ["migrate"], ["runbooks"]])(
    "%s refuses an address that is none, and does not print it",
    async (command) => {
      const { code, stderr } = await workplace.fettle([command], {
        AIOPS_DATABASE_URL: "canary-password@localhost",
      });

      expect(code).toBe(2);
      expect(stderr).toContain("AIOPS_DATABASE_URL: must be a postgres:// address");
      expect(stderr).not.toContain("canary");
    },
  );

  test("is read from a .env file as well", async () => {
    const other = await givenWorkplace();
    await writeFile(join(other.folder, ".env"), `AIOPS_DATABASE_URL=${NO_DATABASE}\n`);
    const ended = await other.fettle(["runs"]);
    await other.remove();

    expect(ended).toMatchObject({ code: 5 });
  });
});

test.each([
  ["runs", ["runs"]],
  ["approve", ["approve", "run_1", "--as", "ana"]],
  ["migrate", ["migrate"]],
  ["export", ["export"]],
])("%s without its database ends with 5, and prints no password", async (_name, args) => {
  const { code, stdout, stderr } = await workplace.fettle(args, {
    AIOPS_DATABASE_URL: NO_DATABASE,
    AUDIT_ENCRYPTION: "off",
    AUDIT_EXPORT_DIR: workplace.folder,
  });

  expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
  expect(stderr).toContain("ECONNREFUSED 127.0.0.1:9");
  expect(stderr).not.toContain("canary");
});
