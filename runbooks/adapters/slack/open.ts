import { systemClock } from "../../../lib/clock.ts";
import type { StopStack } from "../../../lib/lifecycle.ts";
import type { Log } from "../../../lib/log.ts";
import type { AnswerDeps } from "../../approval/answer.ts";
import type { RunbooksConfig } from "../../config.ts";
import { SLACK_PATH, type SlackEndpoint } from "../../routes/slack.ts";
import { openInteractive } from "../../slack/interactive.ts";
import type { UserGroups } from "../../types/approval.ts";
import { boltHandler } from "./bolt.ts";
import { slackModals } from "./modal.ts";
import { slackUserGroups } from "./usergroups.ts";

/** Slack's usergroups; undefined without a bot's token: then groups of approvers let nobody in. */
export function openUserGroups(config: RunbooksConfig, log: Log): UserGroups | undefined {
  const { slackBotToken: token, slackApiUrl: apiUrl, internalHosts } = config;
  if (token === undefined) return undefined;
  return slackUserGroups({ token, apiUrl, internalHosts, clock: systemClock, log });
}

/** What answers Slack's clicks; undefined without SLACK_SIGNING_SECRET. */
export async function openSlack(
  config: RunbooksConfig,
  { log, ...deps }: AnswerDeps & { readonly log: Log },
  stack: StopStack,
): Promise<SlackEndpoint | undefined> {
  const { slackSigningSecret, slackSigningSecretOld, approvalSecret, approvers } = config;
  if (slackSigningSecret === undefined || approvalSecret === undefined) return undefined;
  const interactive = openInteractive({
    ...deps,
    log,
    approvers,
    approvalSecret,
    teamId: config.slackTeamId,
    appId: config.slackAppId,
    openModal: modalsOf(config, log),
    internalHosts: config.internalHosts,
    clock: systemClock,
  });
  stack.add("slack clicks", async () => interactive.stop());
  const { database } = deps;
  const secrets = [slackSigningSecret, slackSigningSecretOld].filter((one) => one !== undefined);
  const handler = await boltHandler(SLACK_PATH, interactive, log);
  return { secrets, database, clock: systemClock, log, handler };
}

/** Undefined without a bot: nobody else may open a dialog. */
function modalsOf(
  { slackBotToken: token, slackApiUrl: apiUrl, internalHosts }: RunbooksConfig,
  log: Log,
) {
  return token && slackModals({ token, apiUrl, internalHosts }, log);
}
