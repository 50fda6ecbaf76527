import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Secret } from "../../lib/secret.ts";
import { findApproval } from "../../runbooks/approval/answer.ts";
import { buttonValue } from "../../runbooks/approval/links.ts";
import { waitUntil } from "../fakes/fettle.ts";
import type { signedClick } from "../fakes/slack-click.ts";
import { startSlack, type FakeSlack } from "../fakes/slack.ts";
import { APPROVAL_SECRET, post, type GivenService } from "../runbooks/given-service.ts";
import {
  clickFor,
  denialsOf,
  givenSlackService,
  placeMessage,
  toldInSlack,
  valueOfButton,
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
  service = await givenSlackService(slack);
});
afterAll(async () => {
  await service.stop();
  await slack.stop();
});

/** A run that waits. The test says itself where its buttons are: Slack takes no message meanwhile. */
async function asked(): Promise<Question> {
  slack.broken.set("chat.postMessage", { error: "is_archived" });
  slack.broken.set("views.open", { error: "expired_trigger_id" });
  const question = await waiting();
  await placeMessage(question, service);
  return question;
}

async function waiting(): Promise<Question> {
  apps += 1;
  return waitingQuestion(service, `app-${apps}`);
}

function clickOn(question: Question, user: string, change: ClickChange = {}) {
  return clickFor(question, user, slack.responseUrl, change);
}

async function send({ body, headers }: ReturnType<typeof signedClick>): Promise<Response> {
  return post(service, body, headers, { path: "/slack/interactive" });
}

async function stateOf({ runId }: Question): Promise<string | undefined> {
  const { rows } = await service.database.query<{ state: string }>(
    "SELECT state FROM runs WHERE id = $1",
    [runId],
  );
  return rows[0]?.state;
}

const deniedOf = async (question: Question) => denialsOf(question, service);

const told = async (text: string) => toldInSlack(slack, text);

test("the buttons of the message that Slack was sent decide, and are gone afterwards", async () => {
  const question = await waiting();
  const message = () =>
    slack.messages.find(({ blocks }) => JSON.stringify(blocks).includes(question.approvalId));
  await waitUntil("the message", async () => {
    const approval = await findApproval(question.runId, service.database);
    return approval?.messageTs !== undefined && message() !== undefined;
  });
  const { ts = "", blocks } = message() ?? {};
  const value = valueOfButton(blocks, "fettle_approve");

  await send(clickOn(question, "U0ANA", { value, messageTs: ts }));

  expect(await findApproval(question.runId, service.database)).toMatchObject({
    state: "approved",
    decidedBy: "ana",
  });
  await waitUntil("the message without buttons", async () => {
    const now = slack.messages.find((one) => one.ts === ts);
    return now !== undefined && !JSON.stringify(now.blocks).includes("fettle_approve");
  });
});

describe("a click", () => {
  test("of an approver decides, in the approver's name, and is acknowledged with an empty 200", async () => {
    const question = await asked();

    const response = await send(clickOn(question, "U0ANA"));

    expect([response.status, await response.text()]).toEqual([200, ""]);
    expect(response.headers.get("x-powered-by")).toBeNull();
    const approval = await findApproval(question.runId, service.database);
    expect(approval).toMatchObject({ state: "approved", decidedBy: "ana" });
    await waitUntil("the action", async () => (await stateOf(question)) === "verifying");
  });

  test("on Reject ends the run, also when nobody can be asked for a reason", async () => {
    const question = await asked();
    await send(clickOn(question, "U0IVAN", { verdict: "rejected" }));

    expect(await stateOf(question)).toBe("rejected");
  });

  test("of a member of the usergroup counts", async () => {
    const question = await asked();
    await send(clickOn(question, "U0EVA"));

    expect(await findApproval(question.runId, service.database)).toMatchObject({
      state: "approved",
      decidedBy: "U0EVA",
    });
  });

  test("that comes second is told who was first, and both are on record", async () => {
    const question = await asked();
    await send(clickOn(question, "U0ANA", { verdict: "rejected" }));

    expect((await send(clickOn(question, "U0IVAN"))).status).toBe(200);
    await told("Nothing was changed now: the request is already rejected by ana.");
    expect(await stateOf(question)).toBe("rejected");
    expect(await deniedOf(question)).toEqual(["the request is already rejected by ana"]);
  });

  test("64 at the same moment on one request decide once", async () => {
    const question = await asked();

    const responses = await Promise.all(
      Array.from({ length: 64 }, async (_, at) =>
        send(
          clickOn(question, at % 2 === 0 ? "U0ANA" : "U0IVAN", {
            verdict: at % 3 === 0 ? "rejected" : "approved",
          }),
        ),
      ),
    );

    expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 64 }, () => 200));
    const decided = async () =>
      (
        await service.database.query(
          "SELECT 1 FROM runbooks_audit WHERE run_id = $1 AND event IN ('approved', 'rejected')",
          [question.runId],
        )
      ).rows.length;
    // A busy machine acknowledges clicks before they are counted.
    await waitUntil("a decision", async () => (await decided()) > 0);
    expect(await decided()).toBe(1);
  });

  test("on a button that only opens a page, or of a kind that is not ours, is answered and does nothing", async () => {
    const question = await asked();
    for (const action of ["fettle_open", "somebody_elses"])
      expect((await send(clickOn(question, "U0ANA", { action }))).status).toBe(200);

    expect(await stateOf(question)).toBe("approval_pending");
  });
});

test("Ask again opens a new run for a request that nobody answered, which somebody else must answer", async () => {
  const question = await asked();
  await service.database.query(
    "UPDATE approvals SET expires_at = now() - interval '1 second' WHERE run_id = $1",
    [question.runId],
  );
  await service.database.query("UPDATE runs SET look_at = now() WHERE id = $1", [question.runId]);
  await waitUntil("the expiry", async () => (await stateOf(question)) === "expired");
  const { approvalId: id, planHash } = question;
  const value = buttonValue({ id, planHash }, "ask_again", new Secret(APPROVAL_SECRET));

  await send(clickOn(question, "U0ANA", { action: "fettle_ask_again", value }));

  await told("Asked again as run_");
  const { rows } = await service.database.query(
    "SELECT requested_by FROM runs WHERE retry_of = $1",
    [question.runId],
  );
  expect(rows).toEqual([{ requested_by: "ana" }]);
});

describe("nothing is decided by a click", () => {
  let question: Question;
  beforeAll(async () => {
    question = await asked();
  });

  test.each<[string, string, ClickChange, string]>([
    ["a stranger", "U0EVE", {}, "not in the list of approvers"],
    ["Slack's own bot", "USLACKBOT", {}, "not in the list of approvers"],
    ["another workspace", "U0ANA", { team: "T0OTHER" }, "another workspace"],
    ["another app", "U0ANA", { app: "A0OTHER" }, "another app"],
    ["another channel", "U0ANA", { channel: "C0OTHER" }, "another channel"],
    ["an old copy of the message", "U0ANA", { messageTs: "1.000001" }, "another message"],
  ])("from %s: refused with the reason, on record", async (_name, user, change, why) => {
    expect((await send(clickOn(question, user, change))).status).toBe(200);

    expect(await stateOf(question)).toBe("approval_pending");
    expect((await deniedOf(question)).at(-1)).toContain(why);
    await told(why);
  });

  test.each<[string, (question: Question) => string]>([
    ["made up", () => "v1.apr_x.00000000.00000000000000000000000000000000"],
    ["empty", () => ""],
    [
      "of another plan",
      ({ approvalId: id }) =>
        buttonValue({ id, planHash: "0".repeat(64) }, "approved", new Secret(APPROVAL_SECRET)),
    ],
    [
      "made with another key",
      ({ approvalId: id, planHash }) =>
        buttonValue({ id, planHash }, "approved", new Secret("another-key")),
    ],
    [
      "of Reject, on Approve",
      ({ approvalId: id, planHash }) =>
        buttonValue({ id, planHash }, "rejected", new Secret(APPROVAL_SECRET)),
    ],
  ])("with a value that is %s", async (_name, valueOf) => {
    const value = valueOf(question);

    expect((await send(clickOn(question, "U0ANA", { value }))).status).toBe(200);
    expect(await stateOf(question)).toBe("approval_pending");
  });

  test("after the request has expired", async () => {
    await service.database.query(
      "UPDATE approvals SET expires_at = now() - interval '1 second' WHERE run_id = $1",
      [question.runId],
    );

    await send(clickOn(question, "U0ANA"));

    await told("the request is already expired");
    expect(await findApproval(question.runId, service.database)).toMatchObject({
      state: "expired",
    });
  });
});

describe("a request that Slack has not sent just now", () => {
  test("is answered 401 and changes nothing: copied, old, of the future, forged, unsigned", async () => {
    const question = await asked();
    const seconds = Math.floor(Date.now() / 1000);
    const foreign = clickOn(question, "U0ANA", { secret: "another-secret-of-somebody" });
    const unsigned = { ...clickOn(question, "U0ANA"), headers: {} };
    const changed = clickOn(question, "U0EVE");
    const forged = { ...changed, body: clickOn(question, "U0ANA").body };
    const old = clickOn(question, "U0ANA", { at: seconds - 310 });
    const future = clickOn(question, "U0ANA", { at: seconds + 310 });

    for (const request of [foreign, unsigned, forged, old, future])
      expect((await send(request)).status).toBe(401);
    expect(await stateOf(question)).toBe("approval_pending");

    const click = clickOn(question, "U0EVE");
    expect((await send(click)).status).toBe(200);
    expect((await send(click)).status).toBe(401); // the same bytes once more
    expect(await deniedOf(question)).toHaveLength(1);
  });

  test("is refused when it is too large or compressed, before anything is looked at", async () => {
    const click = clickOn(await asked(), "U0ANA");
    const large = { ...click, body: click.body + "x".repeat(600_000) };

    expect((await send(large)).status).toBe(413);
    const packed = { ...click, headers: { ...click.headers, "content-encoding": "gzip" } };
    expect((await send(packed)).status).toBe(415);
  });

  test("Slack's look at our certificate is answered", async () => {
    expect((await fetch(`${service.url}/slack/interactive?ssl_check=1`)).status).toBe(200);
    expect((await fetch(`${service.url}/slack/interactive`)).status).toBe(404);
  });
});

test("when the database is frozen a click is acknowledged in time, and the person is told", async () => {
  const question = await asked();
  await service.databaseProxy.setMode({ kind: "blackhole" });
  let ms: number;
  try {
    const start = performance.now();
    expect((await send(clickOn(question, "U0ANA"))).status).toBe(200);
    ms = performance.now() - start;
    await told("Fettle is still checking your click.");
    await told("could not find out whether your click was taken");
  } finally {
    await service.databaseProxy.setMode({ kind: "pass" });
  }
  expect(ms).toBeLessThan(3_000); // Slack's own limit
  expect(await stateOf(question)).toBe("approval_pending");
});

test("when Slack's API is away, clicks of people named by id still count, those of the group do not", async () => {
  slack.broken.set("usergroups.users.list", { status: 500 });
  slack.usergroups.set("S0CALL", ["U0EVA", "U0NEW"]);
  const question = await asked();

  await send(clickOn(question, "U0NEW"));
  expect(await findApproval(question.runId, service.database)).toMatchObject({ state: "pending" });
  await send(clickOn(question, "U0ANA"));
  expect(await findApproval(question.runId, service.database)).toMatchObject({ state: "approved" });
});
