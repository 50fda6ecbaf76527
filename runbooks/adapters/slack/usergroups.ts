import { z } from "zod";
import type { Clock } from "../../../lib/clock.ts";
import type { Log } from "../../../lib/log.ts";
import { postJson } from "../../../lib/post-json.ts";
import type { Secret } from "../../../lib/secret.ts";
import type { UserGroups } from "../../types/approval.ts";

/** Who leaves a group can answer for so long. */
const CACHE_MS = 60_000;
/** A click waits for it, and Slack waits for the click. */
const TIMEOUT_MS = 1_500;

interface UserGroupDeps {
  readonly token: Secret;
  readonly apiUrl: string;
  readonly internalHosts: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

const answerSchema = z.union([
  z.object({ ok: z.literal(true), users: z.array(z.string()) }),
  z.object({ ok: z.literal(false), error: z.string() }),
]);

/** The members of Slack's usergroups. What was known once is not used when Slack does not answer: unknown means no. */
export function slackUserGroups(deps: UserGroupDeps): UserGroups {
  const { clock, log } = deps;
  const known = new Map<string, { readonly members: readonly string[]; readonly until: number }>();
  return {
    members: async (groupId) => {
      const cached = known.get(groupId);
      if (cached !== undefined && clock.now().getTime() < cached.until) return cached.members;
      try {
        const members = await askSlack(groupId, deps);
        known.set(groupId, { members, until: clock.now().getTime() + CACHE_MS });
        return members;
      } catch (error) {
        log.warn("the members of a usergroup cannot be read: nobody of it may approve", {
          group: groupId,
          error,
        });
        return undefined;
      }
    },
  };
}

/** @throws DeliveryError, or Error with Slack's own word */
async function askSlack(
  groupId: string,
  { token, apiUrl, internalHosts }: UserGroupDeps,
): Promise<readonly string[]> {
  const text = await postJson("Slack", {
    url: `${apiUrl.replace(/\/+$/, "")}/usergroups.users.list`,
    body: new URLSearchParams({ usergroup: groupId, include_disabled: "false" }).toString(),
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      authorization: `Bearer ${token.reveal()}`,
    },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    internalHosts,
  });
  const answer = answerSchema.parse(JSON.parse(text));
  if (!answer.ok) throw new Error(`Slack answered ${answer.error}`);
  return answer.users;
}
