import type { Database } from "../../lib/postgres.ts";
import { verifyAudit } from "../../runbooks/audit/verify.ts";
import type { FakeSlack } from "../fakes/slack.ts";
import type { Kubernetes } from "../fakes/kubernetes.ts";
import { approvalProblems, inboxProblems, recordProblems, runProblems } from "./invariants-rows.ts";
import { effectProblems, slotProblems } from "./invariants-effects.ts";
import { canariesIn, canariesInDatabase } from "./canaries.ts";
import { processProblems, type Measured } from "./measure.ts";

/** What is looked at when a test's world is quiet: nothing is sent any more, and every run had time to end. */
export interface QuietWorld {
  readonly database: Database;
  /** The cluster's own log is the truth about what was done to it; leave out where there is none. */
  readonly kubernetes?: Pick<Kubernetes, "mutations">;
  /** Everything that the service's processes have printed. */
  readonly output: () => string;
  readonly slack?: Pick<FakeSlack, "requests">;
  /** The texts of everything that the collector has stored. */
  readonly artefacts?: () => Promise<readonly string[]>;
  readonly approvers: readonly string[];
  readonly limits: { readonly hourly: number; readonly daily: number };
  /** The policy acts without asking anybody. */
  readonly automatic?: boolean;
  /** How long deliveries that were sent again may take to be looked at; 30 s unless set. */
  readonly patienceMs?: number;
  /** A process as it is now and as it was before the fault. */
  readonly processes?: readonly { readonly url: string; readonly before: Measured }[];
}

/**
 * What must hold after every fault, whatever it was, for any number of alerts, runs and targets. Returns a sentence for
 * each thing that does not; call it when the world is quiet.
 */
export async function brokenInvariants(world: QuietWorld): Promise<readonly string[]> {
  const { database, kubernetes, output, slack, artefacts, limits } = world;
  const elsewhere = [
    ["the log", output()],
    ["Slack", JSON.stringify(slack?.requests.map(({ body }) => body) ?? [])],
    ["an artefact", ((await artefacts?.()) ?? []).join("\n")],
  ] as const;
  return [
    ...(await inboxProblems(database, world.patienceMs)), // 1
    ...(await runProblems(database)), // 2 and 8
    ...(await effectProblems(database, kubernetes?.mutations() ?? [])), // 3
    ...(await slotProblems(database, limits)), // 4
    ...(await approvalProblems(database, world)), // 5 and 6
    ...(await recordProblems(database)), // 7
    ...(await verifyAudit(database)).problems.map(({ text }) => `the record was changed: ${text}`),
    ...(await canariesInDatabase(database)), // 9
    ...elsewhere.flatMap(([place, text]) => canariesIn(text).map((one) => `${place} holds ${one}`)),
    ...(await processProblems(database, world.processes ?? [])), // 10
  ];
}
