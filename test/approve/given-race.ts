import { Secret } from "../../lib/secret.ts";
import { findApproval, type Approval } from "../../runbooks/approval/answer.ts";
import { linkToken } from "../../runbooks/approval/links.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { sender } from "../fakes/sender.ts";
import {
  count,
  frameOf,
  PROCESS_SECRET,
  PROCESS_TOKEN,
  type GivenProcesses,
} from "../runbooks/given-processes.ts";

const PEOPLE = ["ana", "ivan"];

/** One request for each app, all waiting for an answer. */
export async function givenRequests(
  { database, services: [service] }: GivenProcesses,
  apps: readonly string[],
): Promise<readonly Approval[]> {
  const one = sender(1);
  for (const app of apps) {
    const body = frameOf(app, 1, { app });
    const { status } = await one.alert(`${service.url}/alertmanager`, body, PROCESS_TOKEN);
    if (status !== 202) throw new Error(`the alert of ${app} was answered ${status}`);
  }
  one.close();
  await waitUntil(
    "all to wait for an answer",
    async () => {
      return (await count(database, "runs WHERE state = 'approval_pending'")) === apps.length;
    },
    120_000,
  );
  const { rows } = await database.query<{ id: string }>("SELECT id FROM approvals ORDER BY id");
  const found = await Promise.all(rows.map(async ({ id }) => findApproval(id, database)));
  return found.filter((approval) => approval !== undefined);
}

interface Race {
  readonly approvals: readonly Approval[];
  readonly clicks: number;
  readonly verdictOf: (approval: number, click: number) => "approve" | "reject";
}

/**
 * So many people press the buttons of one request after the other, all of them that of the same request at the same
 * moment, on all replicas in turn. Returns how long each click waited for its answer, and the answer's status.
 */
export async function raceClicks(
  { services }: GivenProcesses,
  { approvals, clicks, verdictOf }: Race,
): Promise<readonly { readonly status: number; readonly ms: number }[]> {
  const each = Array.from({ length: clicks }, async (_, click) => {
    const { url = "" } = services[click % services.length] ?? {};
    const approver = PEOPLE[(click >> 1) % PEOPLE.length] ?? "";
    const person = sender(1);
    const answers: { status: number; ms: number }[] = [];
    for (const [at, approval] of approvals.entries()) {
      const token = linkToken(approval, approver, new Secret(PROCESS_SECRET));
      const form = { id: approval.id, token };
      answers.push(await person.form(`${url}/${verdictOf(at, click)}`, form));
    }
    person.close();
    return answers;
  });
  return (await Promise.all(each)).flat();
}
