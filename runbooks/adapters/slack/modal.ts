import type { Log } from "../../../lib/log.ts";
import { askSlack, type SlackAccess } from "../channels/slack-api.ts";

/** A click's trigger is good for three seconds, and the click waits. */
const TIMEOUT_MS = 1_500;

/** Opens dialogs; false when Slack did not, or did not say so. */
export function slackModals(
  access: SlackAccess,
  log: Log,
): (triggerId: string, view: object) => Promise<boolean> {
  return async (triggerId, view) => {
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      await askSlack("views.open", { trigger_id: triggerId, view }, { ...access, signal });
      return true;
    } catch (error) {
      log.warn("a dialog could not be opened in Slack: the click counts without it", { error });
      return false;
    }
  };
}
