import { Secret } from "../../lib/secret.ts";
import { findApproval } from "../../runbooks/approval/answer.ts";
import { buttonValue } from "../../runbooks/approval/links.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { signedClick } from "../fakes/slack-click.ts";
import type { FakeSlack } from "../fakes/slack.ts";
import {
  APPROVAL_SECRET,
  frame,
  givenService,
  post,
  type GivenService,
} from "../runbooks/given-service.ts";

export const SIGNING_SECRET = "slack-signing-secret-0123456789abcdef";

/** A run that waits for its answer. */
export interface Question {
  readonly runId: string;
  readonly approvalId: string;
  readonly planHash: string;
}

/** The whole service with this Slack, and no breaker in the way. */
export async function givenSlackService(
  slack: Pick<FakeSlack, "token" | "apiUrl">,
): Promise<GivenService> {
  return givenService({
    RUNBOOK_APPROVERS: "ana=U0ANA,ivan=U0IVAN,@S0CALL",
    SLACK_SIGNING_SECRET: SIGNING_SECRET,
    SLACK_BOT_TOKEN: slack.token,
    SLACK_CHANNEL: "C0FETTLE",
    SLACK_TEAM_ID: "T0FETTLE",
    SLACK_APP_ID: "A0FETTLE",
    SLACK_API_URL: slack.apiUrl,
    RUNBOOKS_INTERNAL_HOSTS: `127.0.0.1,${new URL(slack.apiUrl).hostname}`,
    RUNBOOK_CIRCUIT_MAX_HOURLY: "1000",
    RUNBOOK_CIRCUIT_MAX_DAILY: "1000",
  });
}

/** A run that waits for its answer, wherever it is asked for. */
export async function waitingQuestion(
  service: Pick<GivenService, "url" | "database">,
  app: string,
): Promise<Question> {
  await post(service, frame({ app }));
  const find = async () =>
    (
      await service.database.query<{ id: string }>(
        "SELECT id FROM runs WHERE app = $1 AND state = 'approval_pending'",
        [app],
      )
    ).rows[0]?.id;
  await waitUntil("the question", async () => (await find()) !== undefined);
  const runId = (await find()) ?? "";
  const approval = await findApproval(runId, service.database);
  return { runId, approvalId: approval?.id ?? "", planHash: approval?.planHash ?? "" };
}

/** As if the question stood in Slack: the test says itself where its buttons are. */
export async function placeMessage(
  { runId }: Question,
  { database }: Pick<GivenService, "database">,
): Promise<void> {
  await database.query(
    "UPDATE approvals SET channel = 'C0FETTLE', message_ts = '1795240000.000001' WHERE run_id = $1",
    [runId],
  );
}

/** Why people's answers were refused, in order. */
export async function denialsOf(
  { runId }: Question,
  { database }: Pick<GivenService, "database">,
): Promise<readonly string[]> {
  const { rows } = await database.query<{ why: string }>(
    "SELECT detail->>'why' AS why FROM runbooks_audit WHERE run_id = $1 AND event = 'approval_denied' ORDER BY id",
    [runId],
  );
  return rows.map(({ why }) => why);
}

/** What a person was told, once it has come. */
export async function toldInSlack(slack: FakeSlack, text: string): Promise<void> {
  await waitUntil(`"${text}" in Slack`, async () =>
    slack.calls("response_url").some(({ body }) => String(body["text"]).includes(text)),
  );
}

/** A run whose message, with its buttons, stands in Slack. @param body the alert that opens it */
export async function shownQuestion(
  service: GivenService,
  slack: FakeSlack,
  app: string,
  body: string,
): Promise<Question & { readonly messageTs: string }> {
  await post(service, body);
  const find = async () => {
    const { rows } = await service.database.query<{ id: string }>(
      "SELECT id FROM runs WHERE app = $1 AND state = 'approval_pending'",
      [app],
    );
    const approval = rows[0] && (await findApproval(rows[0].id, service.database));
    return approval?.messageTs !== undefined && blocksAt(slack, approval.messageTs) !== "[]"
      ? approval
      : undefined;
  };
  await waitUntil("the question in Slack", async () => (await find()) !== undefined);
  const { runId = "", id = "", planHash = "", messageTs = "" } = (await find()) ?? {};
  return { runId, approvalId: id, planHash, messageTs };
}

/** What the message shows now, as JSON. */
export function blocksAt({ messages }: FakeSlack, messageTs: string): string {
  return JSON.stringify(messages.find(({ ts }) => ts === messageTs)?.blocks ?? []);
}

export type ClickChange = Partial<Parameters<typeof signedClick>[0]> & {
  readonly verdict?: "approved" | "rejected";
};

/** A click on the question's button, as Slack sends it, but for what is changed. */
export function clickFor(
  { approvalId: id, planHash }: Question,
  user: string,
  responseUrl: string,
  { verdict = "approved", ...more }: ClickChange = {},
) {
  return signedClick({
    secret: SIGNING_SECRET,
    user,
    action: verdict === "approved" ? "fettle_approve" : "fettle_reject",
    value: buttonValue({ id, planHash }, verdict, new Secret(APPROVAL_SECRET)),
    responseUrl,
    ...more,
  });
}

/** What a message's button carries; "" when it has none of that name. */
export function valueOfButton(blocks: unknown, action: string): string {
  const buttons = (blocks as readonly { readonly elements?: readonly Button[] }[]).flatMap(
    ({ elements = [] }) => elements,
  );
  return buttons.find(({ action_id: id }) => id === action)?.value ?? "";
}

interface Button {
  readonly action_id?: string;
  readonly value?: string;
}
