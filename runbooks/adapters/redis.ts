import { Redis } from "ioredis";
import type { Log } from "../../lib/log.ts";
import type { Secret } from "../../lib/secret.ts";
import type { BreakerView } from "../types.ts";

/** Longer than a healthy Redis ever needs, shorter than anybody notices. */
const COMMAND_TIMEOUT_MS = 250;
const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;

/**
 * The breaker's shared counters: per app a sorted set of run ids by time. It can only add to what Postgres says; when it
 * does not answer, `used` is undefined and the decision is no. An emptied Redis merely leaves Postgres' own count.
 */
export async function redisBreakerView(
  url: Secret,
  log: Log,
): Promise<BreakerView & { stop: () => Promise<void> }> {
  const redis = new Redis(url.reveal(), {
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: 2_000,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    lazyConnect: true,
  });
  redis.on("error", (error: Error) => {
    log.warn("redis error", { error });
  });
  await redis.connect().catch((error: unknown) => {
    log.error("redis is not reachable: no action is taken until it is", { error });
  });
  const key = (appKey: string) => `fettle:breaker:${appKey}`;
  return {
    used: async (appKey) => {
      try {
        const now = Number((await redis.time())[0]);
        const [hour, day] = await Promise.all([
          redis.zcount(key(appKey), now - HOUR_SECONDS, "+inf"),
          redis.zcount(key(appKey), now - DAY_SECONDS, "+inf"),
        ]);
        return { hour, day };
      } catch (error) {
        log.warn("the breaker's shared view does not answer", { error });
        return undefined;
      }
    },
    taken: async (appKey, runId) => {
      const now = Number((await redis.time())[0]);
      await redis
        .multi()
        .zadd(key(appKey), now, runId)
        .zremrangebyscore(key(appKey), "-inf", now - DAY_SECONDS)
        .expire(key(appKey), DAY_SECONDS)
        .exec();
    },
    stop: async () => {
      await redis.quit().catch(() => {
        redis.disconnect();
      });
    },
  };
}
