import { systemClock, type Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { PostError } from "../faults.ts";

/** So long a member that failed is left out while another one takes the alerts: a dead one would hold up each of them. */
const REST_MS = 30_000;

export interface ClusterDeps {
  readonly log?: Log | undefined;
  readonly clock?: Pick<Clock, "now"> | undefined;
}

interface Member {
  readonly url: string;
  restsUntil: number;
  fault: PostError | undefined;
}

/** Does something with every member. Rejects with a PostError when it succeeded with none. */
export type TellAll = (tell: (url: string) => Promise<void>) => Promise<void>;

/**
 * The members of an Alertmanager cluster share silences and what was notified, but not alerts: each must be told, as
 * Prometheus does. As there, one that took the alerts is enough. The others are not told again one by one: what is open
 * is said to all every minute, and what they did not hear of ends by itself.
 */
export function openCluster(urls: readonly string[], deps: ClusterDeps = {}): TellAll {
  const { log, clock = systemClock } = deps;
  const members = urls.map((url): Member => ({ url, restsUntil: -Infinity, fault: undefined }));
  const settle = (member: Member, fault: PostError | undefined): void => {
    const { url, fault: before } = member;
    member.fault = fault;
    member.restsUntil = fault === undefined ? -Infinity : clock.now().getTime() + REST_MS;
    if (members.length === 1 || (fault === undefined) === (before === undefined)) return;
    if (fault === undefined) log?.info("Alertmanager takes alerts again", { url });
    else log?.warn("one Alertmanager of several does not take alerts", { url, error: fault });
  };
  const tellSome = async (
    some: readonly Member[],
    tell: (url: string) => Promise<void>,
  ): Promise<boolean> => {
    const taken = await Promise.all(
      some.map(async (member) => {
        const fault = await tell(member.url).then(() => undefined, asPostError);
        settle(member, fault);
        return fault === undefined;
      }),
    );
    return taken.includes(true);
  };
  return async (tell) => {
    const now = clock.now().getTime();
    const [awake, resting] = [
      members.filter(({ restsUntil }) => restsUntil <= now),
      members.filter(({ restsUntil }) => restsUntil > now),
    ];
    if ((await tellSome(awake, tell)) || (await tellSome(resting, tell))) return;
    throw worstOf(members);
  };
}

function asPostError(error: unknown): PostError {
  if (error instanceof PostError) return error;
  return new PostError("unavailable", messageOf(error), { cause: error });
}

/** Refused for good only when every member refuses it; otherwise tried again when the first one may take it. */
function worstOf(members: readonly Member[]): PostError {
  const faults = members.flatMap(({ fault }) => fault ?? []);
  const waiting = faults
    .filter(({ kind }) => kind === "unavailable")
    .sort((left, right) => left.retryAfterMs - right.retryAfterMs);
  return waiting[0] ?? faults[0] ?? new PostError("unavailable", "there is no Alertmanager");
}
