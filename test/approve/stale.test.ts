import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { answerApproval } from "../../runbooks/approval/answer.ts";
import { cancel } from "../../runbooks/main.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startSlack, type FakeSlack } from "../fakes/slack.ts";
import { frame, post, type GivenService } from "../runbooks/given-service.ts";
import {
  blocksAt,
  clickFor,
  givenSlackService,
  shownQuestion,
  type Question,
} from "../slack/given-clicks.ts";

let slack: FakeSlack;
let service: GivenService;
let apps = 0;

beforeAll(async () => {
  slack = await startSlack();
  service = await givenSlackService(slack);
});
afterAll(async () => {
  await service.stop();
  await slack.stop();
});

type Shown = Question & { readonly messageTs: string };

/** Each makes the message that was shown an old one. Returns the state that the run then has. */
const CHANGES: readonly (readonly [string, (question: Shown) => Promise<string>, RegExp])[] = [
  [
    "was cancelled by a person",
    async ({ runId }) => {
      const env = { AIOPS_DATABASE_URL: await databaseUrl() };
      const request = { runId, by: "ivan", via: "cli", reason: "not now" } as const;
      expect(await cancel(env, request, silentLog)).toMatchObject({ kind: "cancelled" });
      return "cancelled";
    },
    /already cancelled/,
  ],
  [
    "has expired",
    async ({ runId }) => {
      await service.database.query(
        "UPDATE approvals SET expires_at = now() - interval '1 second' WHERE run_id = $1",
        [runId],
      );
      await service.database.query("UPDATE runs SET look_at = now() WHERE id = $1", [runId]);
      return "expired";
    },
    /already expired/,
  ],
  [
    "was rejected on the page",
    async ({ approvalId }) => {
      const answer = { approvalId, verdict: "rejected", by: "ivan", via: "page" } as const;
      const deps = {
        database: service.database,
        enqueue: async () => undefined,
        groups: undefined,
      };
      await answerApproval({ ...answer, reason: undefined }, ["ivan"], deps);
      return "rejected";
    },
    /already rejected by ivan/,
  ],
];

async function databaseUrl(): Promise<string> {
  const { rows } = await service.database.query<{ name: string }>(
    "SELECT current_database() AS name",
  );
  const server = new URL(process.env["FETTLE_TEST_POSTGRES_URL"] ?? "");
  return Object.assign(server, { pathname: `/${rows[0]?.name ?? ""}` }).href;
}

async function click(question: Shown, user: string): Promise<Response> {
  const { messageTs } = question;
  const { body, headers } = clickFor(question, user, slack.responseUrl, { messageTs });
  return post(service, body, headers, { path: "/slack/interactive" });
}

test.each(CHANGES)(
  "a click on the old message of a request that %s decides nothing; the person is told, and the message repaired",
  async (_name, change, why) => {
    apps += 1;
    const app = `app-${apps}`;
    const question = await shownQuestion(service, slack, app, frame({ app }));
    const state = await change(question);
    await waitUntil("the change", async () => {
      const { rows } = await service.database.query(
        "SELECT 1 FROM runs WHERE id = $1 AND state = $2",
        [question.runId, state],
      );
      return rows.length === 1;
    });

    expect((await click(question, "U0ANA")).status).toBe(200);

    await waitUntil("the refusal", async () =>
      slack.calls("response_url").some(({ body }) => why.test(String(body["text"]))),
    );
    await waitUntil("the message without buttons", async () => {
      return !blocksAt(slack, question.messageTs).includes("fettle_approve");
    });
    const { rows } = await service.database.query<{ event: string }>(
      "SELECT event FROM runbooks_audit WHERE run_id = $1 ORDER BY id DESC LIMIT 1",
      [question.runId],
    );
    expect(rows).toEqual([{ event: "approval_denied" }]);
    expect(service.kubernetes.mutations()).toEqual([]);
  },
);
