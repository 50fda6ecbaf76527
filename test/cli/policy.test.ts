import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { actionNames } from "../../runbooks/actions/index.ts";
import { parsePolicyMap } from "../../runbooks/policy/document.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";
import { recordPolicy } from "../../runbooks/policy/versions.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenWorkplace, type Env, type Workplace } from "./given.ts";

let workplace: Workplace;
let testDatabase: TestDatabase;
let database: Database;
let env: Env;

beforeAll(async () => {
  workplace = await givenWorkplace();
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  env = { AIOPS_DATABASE_URL: testDatabase.url, USER: "ana" };
});
beforeEach(async () => {
  await database.query("TRUNCATE policy_state, policy_versions");
  await database.query("DELETE FROM kill_switches");
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
  await workplace.remove();
});

async function inForce(data: Readonly<Record<string, string>>): Promise<void> {
  const environment = parsePolicy("crash=rollout_restart", actionNames);
  const document = parsePolicyMap(data, { environment, actions: actionNames });
  await recordPolicy({ kind: "read", document, changedBy: "eva", isNew: true }, database);
}

describe("policy explain", () => {
  test("names the rule, its key, and why the other keys do not count", async () => {
    await inForce({
      "shop._any": "slow=scale_up:+1{window=daily 00:00-24:00}",
      default: "slow=rollout_restart",
    });
    const args = ["policy", "explain", "shop", "checkout", "--trigger", "slow"];

    const { code, stdout } = await workplace.fettle(args, env);
    const json = await workplace.fettle([...args, "--json"], env);

    expect(code).toBe(0);
    expect(stdout).toMatch(/^policy [0-9a-f]{12} \(configmap, read 20/);
    expect(stdout).toContain("rule: slow=scale_up:+1{window=daily 00:00-24:00}  (key shop.*)");
    expect(stdout).toContain("change window: open now");
    expect(stdout).toMatch(
      /shop\.checkout +no such key\nshop\.\* +matched\n\*\.checkout +no such key\ndefault +lower priority\nenv +no rule for it/,
    );
    expect(JSON.parse(json.stdout)).toMatchObject({ key: "shop.*", windowOpen: true });
  });

  test("says when nothing would be done, and that it is switched off", async () => {
    await inForce({});
    await workplace.fettle(["disable", "--reason", "release", "--scope", "shop"], env);

    const { stdout } = await workplace.fettle(
      ["policy", "explain", "shop", "checkout", "--trigger", "slow"],
      env,
    );

    expect(stdout).toContain("no rule: nothing would be done");
    expect(stdout).toContain("switched off: shop by ana: release");
  });

  test("without a trigger lists every rule that may hold", async () => {
    await inForce({
      "shop.checkout": "slow=scale_up:+1",
      default: "slow=restart_pods",
      disabled: "release",
    });

    const { code, stdout } = await workplace.fettle(["policy", "explain", "shop", "checkout"], env);

    expect(code).toBe(0);
    expect(stdout).toBe(
      "problem: disabled: release\nRULE                   KEY\nslow=scale_up:+1       shop.checkout\ncrash=rollout_restart  env\n",
    );
  });

  test("before an executor has read one it is the environment's, and says so", async () => {
    const own = { ...env, RUNBOOK_AUTOFIX_POLICY: "slow=rollout_restart" };

    const { stdout } = await workplace.fettle(["policy", "show"], own);

    expect(stdout).toContain("problem: no executor has read a policy yet");
    expect(stdout).toMatch(/^env +slow=rollout_restart$/m);
  });

  test("a policy that nobody has read for ten minutes allows nothing", async () => {
    await inForce({ default: "slow=rollout_restart" });
    await database.query("UPDATE policy_state SET read_at = now() - interval '11 minutes'");

    const { stdout } = await workplace.fettle(["policy", "show"], env);

    expect(stdout).toContain("problem: nobody has read it for 11 minutes: nothing is allowed");
  });
});

describe("policy lint", () => {
  async function lint(text: string) {
    const file = join(workplace.folder, "policy");
    await writeFile(file, text);
    return workplace.fettle(["policy", "lint", file], env);
  }

  test.each([
    ["a ConfigMap", "kind: ConfigMap\ndata:\n  default: slow=rollout_restart\n", 1],
    ["a map", '"shop.*": slow=rollout_restart\ndefault: slow=scale_up:+1; crash=restart_pods\n', 3],
    ["a text of rules", "slow=rollout_restart # why not\ncrash=restart_pods{batch=2}\n", 2],
  ])("takes %s", async (_what, text, rules) => {
    const { code, stdout } = await lint(text);

    expect(stdout).toContain(`${rules} rules, all sound`);
    expect(code).toBe(0);
  });

  test("tells every problem with its place, and ends with 1", async () => {
    const { code, stderr } = await lint(
      "kind: ConfigMap\ndata:\n  shop: a=rollout_restart\n  default: |\n    slow=reboot\n    b=scale_up:many\n",
    );

    expect(stderr).toContain('key "shop": expected <namespace>.<app>');
    expect(stderr).toContain('key "default", line 1, column 6: "reboot" is not an action');
    expect(stderr).toContain('key "default", line 2, column 12: expected scale_up:+1');
    expect(code).toBe(1);
  });
});

describe("disable and enable", () => {
  test("switch a scope off and on again, by the one who is logged in, with a time limit", async () => {
    const off = await workplace.fettle(
      ["disable", "--reason", "release 7", "--scope", "shop/checkout", "--for", "2h", "--json"],
      env,
    );
    const all = await workplace.fettle(["disable", "--reason", "outage", "--as", "eva"], env);
    const on = await workplace.fettle(["enable", "--reason", "over", "--scope", "*"], env);

    const [stop] = (JSON.parse(off.stdout) as { off: { at: string; until: string }[] }).off;
    expect(stop).toMatchObject({ scope: "shop/checkout", by: "ana", reason: "release 7" });
    expect(Date.parse(stop?.until ?? "") - Date.parse(stop?.at ?? "")).toBe(7_200_000);
    expect(all.stdout.split("\n")[0]).toBe("off: *  until enabled  by eva: outage");
    expect(on).toMatchObject({ code: 0 });
    expect(on.stdout).toMatch(/^off: shop\/checkout {2}until 20/);
  });

  test("works although the rest of the configuration is broken", async () => {
    const broken = { ...env, RUNBOOK_AUTOFIX_POLICY: "nonsense", RUNBOOKS_HOST: "0.0.0.0" };

    expect(await workplace.fettle(["disable", "--reason", "broken"], broken)).toMatchObject({
      code: 0,
    });
  });

  test.each([
    [
      ["disable", "--reason", "x", "--scope", "Shop"],
      2,
      '--scope must be *, <namespace> or <namespace>/<app>, got "Shop"',
    ],
    [
      ["disable", "--reason", "x", "--for", "soon"],
      2,
      '--for must be a length of time such as 90s, 15m, 2h or 7d, got "soon"',
    ],
    [["disable"], 2, "--reason"],
    [["enable", "--reason", "x", "--scope", "shop"], 4, "shop was not switched off"],
  ])("%j ends with %d and says why", async (args, code, message) => {
    const ended = await workplace.fettle(args, env);

    expect(ended.stderr).toContain(message);
    expect(ended.code).toBe(code);
  });
});

describe("runbooks", () => {
  async function alertFile(content: object): Promise<string> {
    const file = join(workplace.folder, "alert.json");
    await writeFile(file, JSON.stringify(content));
    return file;
  }

  test("lint and ls read the shipped catalogue, and tell each problem of another one with its line", async () => {
    const file = join(workplace.folder, "runbooks.yaml");
    await writeFile(file, "runbooks:\n  - id: A\n    title: t\n    match: {}\n");

    const shipped = await workplace.fettle(["runbooks", "lint"], env);
    const listed = await workplace.fettle(["runbooks", "ls", "--json"], env);
    const broken = await workplace.fettle(["runbooks", "lint", file], env);

    expect(shipped.stdout).toContain("runbooks, all sound");
    expect(JSON.parse(listed.stdout)).toContainEqual(expect.objectContaining({ id: "crashloop" }));
    expect(broken.stderr).toContain(`${file}:2: runbooks.0.id: must be lower-case`);
    expect(broken.stderr).toContain(`${file}:4: runbooks.0.match: must name at least one`);
    expect(broken.code).toBe(1);
  });

  test("test says which runbook and target an alert comes to, and what to ask next", async () => {
    const labels = {
      alertname: "AIOpsAnomalyDetected",
      metric: "latency_p99",
      reason: "drop",
      namespace: "shop",
      app: "web",
    };

    const one = await workplace.fettle(
      ["runbooks", "test", "--alert", await alertFile({ alerts: [{ labels }] })],
      env,
    );
    const homeless = await workplace.fettle(
      ["runbooks", "test", "--alert", await alertFile({ labels: { ...labels, namespace: "" } })],
      env,
    );
    const other = await workplace.fettle(
      ["runbooks", "test", "--alert", await alertFile({ labels: { alertname: "X" } })],
      env,
    );

    expect(one.stdout).toBe(
      "runbook: anomaly\ntarget:  shop/deployment/web (app web)\ntrigger: latency_p99:drop\n" +
        "policy:  fettle policy explain shop web --trigger latency_p99 --reason drop\n",
    );
    expect(homeless.stdout).toContain("nothing may be done: ");
    expect(other).toMatchObject({ code: 4, stdout: "runbook: none\n" });
  });
});
