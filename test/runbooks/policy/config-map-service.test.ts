import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { waitUntil } from "../../fakes/fettle.ts";
import { frame, givenService, post, type GivenService } from "../given-service.ts";

let service: GivenService;

beforeAll(async () => {
  service = await givenService({ RUNBOOK_AUTOFIX_POLICY: "" });
});
afterAll(async () => {
  await service.stop();
});

function putPolicy(data: Readonly<Record<string, string>>): void {
  service.kubernetes.put("configmaps", {
    metadata: {
      name: "runbooks-policy",
      namespace: "runbooks",
      annotations: { "fettle.dev/changed-by": "eva" },
    },
    data,
  });
}

/** The version and the problem that people see. */
async function shown(): Promise<{ keys: readonly string[]; problem: string | null }> {
  const { rows } = await service.database.query<{ keys: string[] | null; problem: string | null }>(
    `SELECT problem, (SELECT array_agg(e->>'key') FROM policy_versions v, jsonb_array_elements(document->'entries') e
                       WHERE v.sha256 = s.sha256) AS keys FROM policy_state s`,
  );
  return { keys: rows[0]?.keys ?? [], problem: rows[0]?.problem ?? null };
}

async function decisionFor(app: string): Promise<{ state: string; key: string | null }> {
  await post(service, frame({ app }));
  const run = async () =>
    (
      await service.database.query<{ state: string; key: string | null; decided: boolean }>(
        "SELECT state, rule->>'key' AS key, decision IS NOT NULL AS decided FROM runs WHERE app = $1",
        [app],
      )
    ).rows[0];
  await waitUntil("a decision", async () => (await run())?.decided === true);
  const { state = "", key = null } = (await run()) ?? {};
  return { state, key };
}

test("the ConfigMap is the policy: its changes count at once, its faults are shown and do not count", async () => {
  expect(await decisionFor("app-1")).toEqual({ state: "skipped_no_policy", key: null });

  putPolicy({ "shop._any": "latency_p99=rollout_restart" });
  await waitUntil("the new policy", async () => (await shown()).keys.includes("shop.*"));
  expect(await decisionFor("app-2")).toEqual({ state: "approval_pending", key: "shop.*" });

  putPolicy({ "shop._any": "latency_p99=reboot" });
  await waitUntil("the problem", async () => (await shown()).problem !== null);
  expect((await shown()).problem).toContain('key "shop._any", line 1, column 13: "reboot"');
  expect(await decisionFor("app-3")).toEqual({ state: "approval_pending", key: "shop.*" });

  putPolicy({ "shop._any": "latency_p99=rollout_restart{mode=shadow}" });
  await waitUntil("the repaired policy", async () => (await shown()).problem === null);
  expect(await decisionFor("app-4")).toEqual({ state: "skipped_shadow", key: "shop.*" });
  expect(service.kubernetes.mutations()).toEqual([]);
});

test("every change of the policy is in the record, with the person whom the ConfigMap names", async () => {
  const { rows } = await service.database.query<{ actor: string }>(
    "SELECT actor FROM runbooks_audit WHERE event = 'policy_changed' ORDER BY id",
  );

  expect(rows.map(({ actor }) => actor)).toEqual(["env", "eva", "eva"]);
});

test("how often it could not be read is counted", async () => {
  const metrics = await (await fetch(`${service.url}/metrics`)).text();

  expect(metrics).toMatch(/^runbooks_policy_read_failed_total\{service="runbooks"\} [1-9]/m);
  expect(metrics).toMatch(/^runbooks_policy_read_timestamp_seconds\{service="runbooks"\} \d{10}/m);
});
