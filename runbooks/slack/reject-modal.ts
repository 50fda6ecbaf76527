import { z } from "zod";
import { parseJson } from "../../lib/parse-json.ts";
import type { Approval } from "../approval/answer.ts";
import { describeTarget } from "../types/target.ts";

const CALLBACK_ID = "fettle_reject_reason";
const BLOCK_ID = "fettle_reason";
const ACTION_ID = "reason";
/** As much as the page lets people write. */
const REASON_MAX = 500;
const SUMMARY_MAX = 500;
const id = z.string().max(64);

/** What the dialog brings back of the click that opened it: the same proof, and where the question stood. */
const memorySchema = z.object({
  value: z.string().max(2_000),
  channel: id.optional(),
  messageTs: id.optional(),
  responseUrl: z.string().max(2_000).optional(),
});
export type ModalMemory = z.infer<typeof memorySchema>;

const submissionSchema = z.object({
  type: z.literal("view_submission"),
  api_app_id: id,
  team: z.object({ id }).nullish(),
  user: z.object({ id }),
  view: z.object({
    callback_id: z.literal(CALLBACK_ID),
    private_metadata: z.string().max(3_000),
    state: z.object({
      values: z.object({
        [BLOCK_ID]: z.object({
          [ACTION_ID]: z.object({ value: z.string().max(REASON_MAX).nullish() }),
        }),
      }),
    }),
  }),
});

/** A dialog that was sent, as a click with a reason. */
export interface Submission {
  readonly appId: string;
  readonly teamId: string | undefined;
  readonly user: string;
  readonly memory: ModalMemory;
  readonly reason: string | undefined;
}

/** Undefined for anything that is not our dialog. */
export function readSubmission(body: unknown): Submission | undefined {
  const parsed = submissionSchema.safeParse(body);
  if (!parsed.success) return undefined;
  const { api_app_id: appId, team, user, view } = parsed.data;
  const memory = memorySchema.safeParse(parseJson(view.private_metadata));
  if (!memory.success) return undefined;
  const reason = view.state.values[BLOCK_ID][ACTION_ID].value?.trim();
  return {
    appId,
    teamId: team?.id,
    user: user.id,
    memory: memory.data,
    reason: reason === "" ? undefined : reason,
  };
}

/** Asks why. Nothing is decided until it is sent. */
export function rejectModal({ plan }: Pick<Approval, "plan">, memory: ModalMemory): object {
  const plain = (text: string) => ({ type: "plain_text", text, emoji: false });
  return {
    type: "modal",
    callback_id: CALLBACK_ID,
    private_metadata: JSON.stringify(memory),
    title: plain("Reject"),
    submit: plain("Reject"),
    close: plain("Back"),
    blocks: [
      {
        type: "section",
        text: plain(`${describeTarget(plan.target)}: ${plan.summary}`.slice(0, SUMMARY_MAX)),
      },
      {
        type: "input",
        block_id: BLOCK_ID,
        optional: true,
        label: plain("Reason"),
        element: {
          type: "plain_text_input",
          action_id: ACTION_ID,
          multiline: true,
          max_length: REASON_MAX,
        },
      },
    ],
  };
}
