import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { actionNames } from "../../runbooks/actions/index.ts";
import { decide, type DecisionInput } from "../../runbooks/decide.ts";
import { decisionRecord, type DecisionRecord } from "../../runbooks/decision-record.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";
import { replayDecision } from "../../runbooks/replay-decision.ts";

const NO_WITNESS = { alert: undefined, target: undefined, policyDocument: undefined };

const breakers = fc.oneof(
  fc.constant({ kind: "unknown" as const }),
  fc.record({
    kind: fc.constant("known" as const),
    open: fc.boolean(),
    usedHour: fc.nat(5),
    usedDay: fc.nat(12),
  }),
);

/** Anything that a run may have been decided from. */
const inputs: fc.Arbitrary<DecisionInput> = fc.record({
  alert: fc.record({
    trigger: fc.constantFrom("latency_p99", "crashloop", "constructor", "__proto__"),
    reason: fc.constantFrom("", "level_shift"),
    labels: fc.dictionary(fc.string(), fc.string(), { maxKeys: 4 }),
    truncated: fc.boolean(),
    source: fc.string(),
  }),
  target: fc.constant({
    cluster: "default",
    namespace: "shop",
    kind: "deployment" as const,
    name: "checkout",
    app: "checkout",
  }),
  policy: fc.constantFrom<DecisionInput["policy"]>(
    { kind: "unknown", why: "no answer" },
    {
      kind: "known",
      document: parsePolicy(
        "latency_p99=rollout_restart{mode=shadow,window=mon-fri 08:00-18:00 Europe/Zagreb};crashloop:level_shift=rollout_restart{cooldown=15m,quorum=2}",
        actionNames,
      ),
    },
  ),
  breakers: fc.record({ target: breakers, app: breakers }),
  killed: fc.constantFrom(null, "unknown" as const, { scope: "*", by: "ana", reason: "r" }),
  health: fc.oneof(
    fc.constant("unknown" as const),
    fc.record({
      sick: fc.nat(9),
      workloads: fc.option(fc.nat(30)),
      recentTargets: fc.nat(9),
    }),
  ),
  lastActionAt: fc.constantFrom(null, "2026-11-20T08:55:00.000Z"),
  scope: fc.constantFrom(
    { namespaces: null, sourceNamespaces: null },
    { namespaces: ["pay"], sourceNamespaces: null },
  ),
  switches: fc.record({
    enabled: fc.boolean(),
    dryRun: fc.boolean(),
    requireApproval: fc.boolean(),
    approvers: fc.constantFrom([], ["ana"], ["ana", "ivan"]),
    limits: fc.constant({ hourly: 3, daily: 10 }),
  }),
  now: fc.constantFrom("2026-11-20T09:00:00.000Z", "2026-11-21T03:00:00.000Z"),
});

/** As it comes back out of the database: other order of members, nothing undefined. */
function stored(record: DecisionRecord): DecisionRecord {
  return JSON.parse(JSON.stringify(record, sortedMembers)) as DecisionRecord;
}

function sortedMembers(_name: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? 1 : -1)));
}

test("any recorded decision comes out the same, byte for byte", () => {
  fc.assert(
    fc.property(inputs, (input) => {
      const record = stored(decisionRecord(input, decide(input), "1"));

      expect(replayDecision(record, "1", NO_WITNESS)).toMatchObject({
        same: true,
        decision: undefined,
        inputChanged: false,
        decidedBy: undefined,
      });
    }),
    { numRuns: 500 },
  );
});

function given(): DecisionRecord {
  const [input] = fc.sample(
    inputs.filter(({ switches, killed, alert }) => {
      return switches.enabled && killed === null && !alert.truncated;
    }),
    { numRuns: 1, seed: 7 },
  );
  if (input === undefined) throw new Error("no sample");
  return stored(decisionRecord(input, decide(input), "1"));
}

test("an input that was changed afterwards is told by its hash, and the member that came out otherwise is named", () => {
  const record = given();
  const input = { ...record.input, switches: { ...record.input.switches, enabled: false } };

  const replay = replayDecision({ ...record, input }, "1", NO_WITNESS);

  expect(replay).toMatchObject({ same: false, inputChanged: true });
  expect(replay.decision?.path).toMatch(/^(considered|key|path|verdict)/);
});

test("an input that was changed is told even where the decision comes out the same", () => {
  const record = given();
  const input = { ...record.input, alert: { ...record.input.alert, labels: { a: "b" } } };

  expect(replayDecision({ ...record, input }, "1", NO_WITNESS)).toMatchObject({
    same: false,
    decision: undefined,
    inputChanged: true,
  });
});

test("the member of the input that differs from the rest of the database is named", () => {
  const record = given();
  const alert = { ...record.input.alert, labels: { severity: "critical" } };

  const { inputDiffers } = replayDecision(record, "1", { ...NO_WITNESS, alert });

  expect(inputDiffers).toHaveLength(1);
  expect(inputDiffers[0]?.path).toMatch(/^input\.alert\.labels/);
});

test("a decision that was changed is told with its path", () => {
  const record = given();
  const path = record.path.with(0, "remediation was enabled");

  const { same, decision } = replayDecision({ ...record, path }, "1", NO_WITNESS);

  expect(same).toBe(false);
  expect(decision).toMatchObject({ path: "path.0", recorded: '"remediation was enabled"' });
});

test("another version of the program is said, and does not make it another decision", () => {
  expect(replayDecision(given(), "2", NO_WITNESS)).toMatchObject({ same: true, decidedBy: "1" });
});
