import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { waitUntil } from "../fakes/fettle.ts";
import { signedSubmission } from "../fakes/slack-click.ts";
import { startSlack, type FakeSlack } from "../fakes/slack.ts";
import { post, type GivenService } from "../runbooks/given-service.ts";
import {
  clickFor,
  denialsOf,
  givenSlackService,
  placeMessage,
  SIGNING_SECRET,
  toldInSlack,
  waitingQuestion,
  type ClickChange,
  type Question,
} from "./given-clicks.ts";

let slack: FakeSlack;
let service: GivenService;
let apps = 0;

beforeAll(async () => {
  slack = await startSlack();
  slack.usergroups.set("S0CALL", ["U0EVA"]);
  slack.broken.set("chat.postMessage", { error: "is_archived" }); // the test says where the buttons are
  service = await givenSlackService(slack);
});
beforeEach(() => {
  slack.broken.delete("views.open");
});
afterAll(async () => {
  await service.stop();
  await slack.stop();
});

async function asked(): Promise<Question> {
  apps += 1;
  const question = await waitingQuestion(service, `app-${apps}`);
  await placeMessage(question, service);
  return question;
}

async function send({ body, headers }: ReturnType<typeof signedSubmission>): Promise<Response> {
  return post(service, body, headers, { path: "/slack/interactive" });
}

async function reject(question: Question, user: string, change: ClickChange = {}) {
  return send(clickFor(question, user, slack.responseUrl, { verdict: "rejected", ...change }));
}

interface View {
  readonly callback_id?: unknown;
  readonly private_metadata?: string;
}

/** The dialog that Slack was last told to open. */
function opened(): View {
  return slack.calls("views.open").at(-1)?.body["view"] as View;
}

function submission(view: View, user: string, reason: string | null, change: object = {}) {
  return signedSubmission({ secret: SIGNING_SECRET, user, view, reason, ...change });
}

async function answerOf({ runId }: Question) {
  const { rows } = await service.database.query<{ state: string; by: string; reason: string }>(
    "SELECT state, decided_by AS by, reason FROM approvals WHERE run_id = $1",
    [runId],
  );
  return rows[0];
}

const PENDING = { state: "pending", by: null, reason: null };

const deniedOf = async (question: Question) => denialsOf(question, service);

const told = async (text: string) => toldInSlack(slack, text);

test("Reject asks for a reason, and rejects with it when the dialog is sent", async () => {
  const question = await asked();

  expect((await reject(question, "U0ANA")).status).toBe(200);
  expect(await answerOf(question)).toEqual(PENDING);
  expect(slack.calls("views.open").at(-1)?.body).toMatchObject({
    trigger_id: expect.stringMatching(/\.trigger$/),
    view: { type: "modal", title: { text: "Reject" }, submit: { text: "Reject" } },
  });

  const sent = await send(submission(opened(), "U0ANA", "  the release is going on  "));

  expect([sent.status, await sent.text()]).toEqual([200, ""]);
  expect(await answerOf(question)).toEqual({
    state: "rejected",
    by: "ana",
    reason: "the release is going on",
  });
  const { rows } = await service.database.query(
    "SELECT actor, detail->>'reason' AS reason, detail->>'via' AS via FROM runbooks_audit WHERE run_id = $1 AND event = 'rejected'",
    [question.runId],
  );
  expect(rows).toEqual([{ actor: "ana", reason: "the release is going on", via: "slack" }]);
});

test("a reason that no database can keep does not lose the rejection", async () => {
  const question = await asked();
  await reject(question, "U0ANA");

  await send(submission(opened(), "U0ANA", "stop\u0000 \ud800 now"));

  expect(await answerOf(question)).toEqual({
    state: "rejected",
    by: "ana",
    reason: "stop\ufffd \ufffd now",
  });
});

test("a dialog without a reason rejects as well; somebody else's dialog is answered and does nothing", async () => {
  const question = await asked();
  await reject(question, "U0IVAN");
  const foreign = { ...opened(), callback_id: "somebody_elses" };
  expect((await send(submission(foreign, "U0IVAN", "x"))).status).toBe(200);
  expect(await answerOf(question)).toEqual(PENDING);

  await send(submission(opened(), "U0IVAN", null));
  expect(await answerOf(question)).toEqual({ state: "rejected", by: "ivan", reason: null });
});

test.each<[string, Parameters<FakeSlack["broken"]["set"]>[1]]>([
  ["refuses", { error: "expired_trigger_id" }],
  ["is broken", { status: 500 }],
  ["never answers", "hang"],
])("when Slack %s the rejection counts without a reason", async (_what, fault) => {
  slack.broken.set("views.open", fault);
  const question = await asked();

  expect((await reject(question, "U0ANA")).status).toBe(200);

  await waitUntil("the rejection", async () => (await answerOf(question))?.by === "ana");
  expect(await answerOf(question)).toEqual({ state: "rejected", by: "ana", reason: null });
});

test("a dialog that Slack opened although it said nothing changes nothing that was decided", async () => {
  slack.broken.set("views.open", "late");
  const question = await asked();
  await reject(question, "U0ANA");
  await waitUntil("the rejection", async () => (await answerOf(question))?.by === "ana");

  expect((await send(submission(opened(), "U0ANA", "too late"))).status).toBe(200);

  await told("the request is already rejected by ana");
  expect(await answerOf(question)).toMatchObject({ state: "rejected", reason: null });
});

test("nobody is asked for a reason who may not answer, or whose request is over", async () => {
  const question = await asked();
  const before = slack.calls("views.open").length;

  await reject(question, "U0EVE");
  await told("not in the list of approvers");
  await reject(question, "U0ANA", { messageTs: "1.000001" });
  await told("another message");
  await send(clickFor(question, "U0ANA", slack.responseUrl));
  await reject(question, "U0IVAN");
  await told("the request is already approved by ana");

  expect(slack.calls("views.open")).toHaveLength(before);
});

describe("a dialog", () => {
  let question: Question;
  let view: View;
  const memory = () => JSON.parse(view.private_metadata ?? "") as Record<string, unknown>;
  const changed = (change: object): View => ({
    ...view,
    private_metadata: JSON.stringify({ ...memory(), ...change }),
  });
  const open = async () => {
    question = await asked();
    await reject(question, "U0ANA");
    view = opened();
  };

  test.each<[string, () => ReturnType<typeof submission>, string]>([
    ["a stranger", () => submission(view, "U0EVE", "x"), "not in the list of approvers"],
    ["another workspace", () => submission(view, "U0ANA", "x", { team: "T0OTHER" }), "workspace"],
    ["another app", () => submission(view, "U0ANA", "x", { app: "A0OTHER" }), "another app"],
    [
      "a dialog of another message",
      () => submission(changed({ messageTs: "1.000001" }), "U0ANA", "x"),
      "another message",
    ],
  ])("sent by %s decides nothing, and is on record", async (_who, make, why) => {
    await open();

    expect((await send(make())).status).toBe(200);

    expect(await answerOf(question)).toEqual(PENDING);
    expect((await deniedOf(question)).at(-1)).toContain(why);
  });

  test("that is forged, unsigned, sent twice or unreadable decides nothing", async () => {
    await open();
    const forged = changed({ value: `v1.${question.approvalId}.00000000.00` });
    expect((await send(submission(forged, "U0ANA", "x"))).status).toBe(200);
    for (const text of ["", "{", "[]", '{"value":7}'])
      expect(
        (await send(submission({ ...view, private_metadata: text }, "U0ANA", "x"))).status,
      ).toBe(200);
    const unsigned = { ...submission(view, "U0ANA", "x"), headers: {} };
    expect((await send(unsigned)).status).toBe(401);
    expect((await send(submission(view, "U0ANA", "x".repeat(501)))).status).toBe(200);
    expect(await answerOf(question)).toEqual(PENDING);

    const twice = submission(view, "U0ANA", "once");
    expect((await send(twice)).status).toBe(200);
    expect((await send(twice)).status).toBe(401);
    expect(await answerOf(question)).toMatchObject({ state: "rejected", reason: "once" });
  });
});
