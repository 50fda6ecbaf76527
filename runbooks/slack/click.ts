import { z } from "zod";
import type { Secret } from "../../lib/secret.ts";
import {
  answerApproval,
  closedText,
  denyAnswer,
  findApproval,
  type AnswerDeps,
  type AnswerOutcome,
  type Approval,
} from "../approval/answer.ts";
import { askAgain } from "../approval/ask-again.ts";
import { allowListFor, answerRight } from "../approval/authorize.ts";
import { readButton } from "../approval/links.ts";
import { rejectModal, type ModalMemory, type Submission } from "./reject-modal.ts";

export interface ClickDeps extends AnswerDeps {
  /** RUNBOOK_APPROVERS */
  readonly approvers: readonly string[];
  /** Proves our buttons. */
  readonly approvalSecret: Secret;
  /** Clicks from elsewhere are refused; undefined: any. */
  readonly teamId: string | undefined;
  readonly appId: string | undefined;
  /** Asks for a reason; false when it could not. Undefined without a bot: then nobody is asked. */
  readonly openModal?: ((triggerId: string, view: object) => Promise<boolean>) | undefined;
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
  trigger_id: z.string().max(500).optional(),
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
  const value = action?.value ?? "";
  const press: Press = {
    appId: click.api_app_id,
    teamId: click.team?.id,
    channel: click.channel?.id,
    messageTs: click.container?.message_ts,
    user: click.user.id,
  };
  const asked = await requestOf(value, verdict, press, deps);
  if (typeof asked === "string") return asked;
  if (verdict === "ask_again") return askAgain(asked, press.user, deps);
  const { trigger_id: trigger, response_url: responseUrl } = click;
  const memory = { value, channel: press.channel, messageTs: press.messageTs, responseUrl };
  if (verdict === "rejected" && (await asksWhy(asked, press.user, trigger, memory, deps)))
    return undefined;
  return answered(asked, verdict, press.user, undefined, deps);
}

/** The reason that a dialog asked for: now the rejection counts, if the person may still answer. */
export async function takeReason(
  { memory, reason, ...from }: Submission,
  deps: ClickDeps,
): Promise<string | undefined> {
  const press = { ...from, channel: memory.channel, messageTs: memory.messageTs };
  const asked = await requestOf(memory.value, "rejected", press, deps);
  if (typeof asked === "string") return asked;
  return answered(asked, "rejected", press.user, reason, deps);
}

/** Who pressed, and where; as Slack says. */
interface Press {
  readonly appId: string;
  readonly teamId: string | undefined;
  readonly channel: string | undefined;
  readonly messageTs: string | undefined;
  readonly user: string;
}

/** The request that a button is of, or what to tell the person instead; a refused attempt is on record. */
async function requestOf(
  value: string,
  verdict: Parameters<typeof readButton>[1],
  press: Press,
  deps: ClickDeps,
): Promise<Approval | string> {
  const button = readButton(value, verdict, deps.approvalSecret);
  const approval = button && (await findApproval(button.approvalId, deps.database));
  if (approval === undefined) return "This button belongs to no request that Fettle knows.";
  const refusal = foreignTo(approval, button?.planHashStart ?? "", press, deps);
  if (refusal === undefined) return approval;
  await denyAnswer(approval, { by: press.user, via: "slack" }, refusal, deps);
  return `Refused: ${refusal}.`;
}

/** Only those are asked why whose rejection would count; without a dialog it counts at once. */
async function asksWhy(
  approval: Approval,
  user: string,
  trigger: string | undefined,
  memory: ModalMemory,
  { openModal, approvers, groups }: ClickDeps,
): Promise<boolean> {
  if (openModal === undefined || trigger === undefined) return false;
  const list = allowListFor(approval, approvers);
  const open = approval.state === "pending";
  if (!open || (await answerRight(user, approval, list, groups)).kind !== "may") return false;
  return openModal(trigger, rejectModal(approval, memory));
}

async function answered(
  { id: approvalId }: Approval,
  verdict: "approved" | "rejected",
  by: string,
  reason: string | undefined,
  deps: ClickDeps,
): Promise<string | undefined> {
  const answer = { approvalId, verdict, by, via: "slack", reason } as const;
  return textOf(await answerApproval(answer, deps.approvers, deps));
}

/** Why the click did not come from the message that asks, or undefined. */
function foreignTo(
  approval: Approval,
  planHashStart: string,
  press: Press,
  { teamId, appId }: ClickDeps,
): string | undefined {
  const { planHash, channel, messageTs } = approval;
  const differs = (known: string | undefined, given: string | undefined) =>
    known !== undefined && known !== given;
  if (differs(teamId, press.teamId)) return "the click comes from another workspace";
  if (differs(appId, press.appId)) return "the click comes from another app";
  if (differs(channel, press.channel)) return "the click comes from another channel";
  if (differs(messageTs, press.messageTs)) return "the click comes from another message";
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
