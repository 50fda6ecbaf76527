import { z } from "zod";
import type { Secret } from "../../lib/secret.ts";
import {
  answerApproval,
  denyAnswer,
  findApproval,
  type AnswerDeps,
  type AnswerOutcome,
  type Approval,
} from "../approval/answer.ts";
import { askAgain } from "../approval/ask-again.ts";
import { readButton } from "../approval/links.ts";

export interface ClickDeps extends AnswerDeps {
  /** RUNBOOK_APPROVERS */
  readonly approvers: readonly string[];
  /** Proves our buttons. */
  readonly approvalSecret: Secret;
  /** Clicks from elsewhere are refused; undefined: any. */
  readonly teamId: string | undefined;
  readonly appId: string | undefined;
}

const id = z.string().max(64);

/** Ids only: names are what people call themselves. */
const clickSchema = z.object({
  type: z.literal("block_actions"),
  api_app_id: id,
  team: z.object({ id }).nullish(),
  user: z.object({ id }),
  channel: z.object({ id }).nullish(),
  container: z.object({ message_ts: id.optional() }).optional(),
  response_url: z.string().max(2_000).optional(),
  actions: z
    .array(z.object({ action_id: z.string().max(255), value: z.string().max(2_000).optional() }))
    .min(1)
    .max(1),
});

export type Click = z.infer<typeof clickSchema>;

/** Undefined for anything that is no click of one button. */
export function readClick(body: unknown): Click | undefined {
  const parsed = clickSchema.safeParse(body);
  return parsed.success ? parsed.data : undefined;
}

const VERDICTS = {
  fettle_approve: "approved",
  fettle_reject: "rejected",
  fettle_ask_again: "ask_again",
} as const;

/**
 * Takes a click, and says what its person has to know; undefined when the message itself will say it. A button that only
 * opens an address is none of ours.
 */
export async function takeClick(click: Click, deps: ClickDeps): Promise<string | undefined> {
  const [action] = click.actions;
  const verdict = VERDICTS[action?.action_id as keyof typeof VERDICTS] as
    (typeof VERDICTS)[keyof typeof VERDICTS] | undefined;
  if (verdict === undefined) return undefined;
  const button = readButton(action?.value ?? "", verdict, deps.approvalSecret);
  const approval = button && (await findApproval(button.approvalId, deps.database));
  if (approval === undefined) return "This button belongs to no request that Fettle knows.";
  const refusal = foreignTo(approval, button?.planHashStart ?? "", click, deps);
  const answer = { by: click.user.id, via: "slack" } as const;
  if (refusal !== undefined) {
    await denyAnswer(approval, answer, refusal, deps);
    return `Refused: ${refusal}.`;
  }
  if (verdict === "ask_again") return askAgain(approval, click.user.id, deps);
  const request = { ...answer, approvalId: approval.id, verdict, reason: undefined };
  const outcome = await answerApproval(request, deps.approvers, deps);
  // Both attempts stay on record, and the message is drawn anew for whoever looks at an old copy.
  if (outcome.kind === "closed") await denyAnswer(approval, answer, closedText(outcome), deps);
  return textOf(outcome);
}

/** Why the click did not come from the message that asks, or undefined. */
function foreignTo(
  { planHash, channel, messageTs }: Approval,
  planHashStart: string,
  click: Click,
  { teamId, appId }: ClickDeps,
): string | undefined {
  const differs = (known: string | undefined, given: string | undefined) =>
    known !== undefined && known !== given;
  if (differs(teamId, click.team?.id)) return "the click comes from another workspace";
  if (differs(appId, click.api_app_id)) return "the click comes from another app";
  if (differs(channel, click.channel?.id)) return "the click comes from another channel";
  if (differs(messageTs, click.container?.message_ts))
    return "the click comes from another message";
  return planHash.startsWith(planHashStart) && planHashStart !== ""
    ? undefined
    : "the plan has changed since";
}

function textOf(outcome: AnswerOutcome): string | undefined {
  switch (outcome.kind) {
    case "decided":
      return undefined;
    case "counted":
      return `Counted: ${outcome.have} of ${outcome.need} people have said yes.`;
    case "closed":
      return `Nothing was changed now: ${closedText(outcome)}.`;
    case "not_allowed":
      return `You may not answer: ${outcome.why}.`;
    case "not_found":
      return "This request does not exist any more.";
  }
}

function closedText({ state, by }: Extract<AnswerOutcome, { kind: "closed" }>): string {
  return `the request is already ${state}${by === undefined ? "" : ` by ${by}`}`;
}
