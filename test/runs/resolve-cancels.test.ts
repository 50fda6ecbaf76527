import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { waitUntil } from "../fakes/fettle.ts";
import { startSlack, type FakeSlack } from "../fakes/slack.ts";
import { frame, post, type GivenService } from "../runbooks/given-service.ts";
import { blocksAt, clickFor, givenSlackService, shownQuestion } from "../slack/given-clicks.ts";

let slack: FakeSlack;
let service: GivenService;

beforeAll(async () => {
  slack = await startSlack();
  service = await givenSlackService(slack);
});
afterAll(async () => {
  await service.stop();
  await slack.stop();
});

async function stateOf(runId: string): Promise<string | undefined> {
  const { rows } = await service.database.query<{ state: string }>(
    "SELECT state FROM runs WHERE id = $1",
    [runId],
  );
  return rows[0]?.state;
}

function resolved(body: string): string {
  return body
    .replaceAll('"status":"firing"', '"status":"resolved"')
    .replace('"fingerprint"', '"endsAt":"2026-11-21T03:05:00Z","fingerprint"');
}

test("an alert that resolves while people are asked ends the run, and takes the buttons away", async () => {
  const body = frame({ app: "app-1" });
  const question = await shownQuestion(service, slack, "app-1", body);

  await post(service, resolved(body));

  await waitUntil("the end", async () => {
    return (await stateOf(question.runId)) === "resolved_before_action";
  });
  await waitUntil("the message without buttons", async () => {
    return !blocksAt(slack, question.messageTs).includes("fettle_approve");
  });
  expect(blocksAt(slack, question.messageTs)).toMatch(/resolved/i);
  // A click on a copy of the message that somebody still sees.
  const { messageTs } = question;
  const click = clickFor(question, "U0ANA", slack.responseUrl, { messageTs });
  await post(service, click.body, click.headers, { path: "/slack/interactive" });
  expect(await stateOf(question.runId)).toBe("resolved_before_action");
  expect(service.kubernetes.mutations()).toEqual([]);
});
