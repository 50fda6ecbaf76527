import { Redis } from "ioredis";
import type { Log } from "../../lib/log.ts";
import type { Secret } from "../../lib/secret.ts";
import type { BreakerView } from "../types/breaker.ts";

/** Longer than a healthy Redis ever needs, shorter than anybody notices. */
const COMMAND_TIMEOUT_MS = 250;
const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;

/** Set by a rebuild; gone with everything else when Redis was emptied, or replaced by an empty replica. */
const SENTINEL = "fettle:breaker-view:filled";
const PROBE = "fettle:breaker-view:probe";
const keyOf = (appKey: string) => `fettle:breaker:${appKey}`;

/**
 * Both counts at one moment of Redis' own clock, or nil without the sentinel. It writes as well: a Redis that cannot be
 * written to (full, or a replica) counts nothing any more, and has to be known as broken.
 */
const USED = `
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local now = tonumber(redis.call('TIME')[1])
redis.call('SET', KEYS[2], now, 'EX', ${HOUR_SECONDS})
return {
  redis.call('ZCOUNT', KEYS[3], now - ${HOUR_SECONDS}, '+inf'),
  redis.call('ZCOUNT', KEYS[3], now - ${DAY_SECONDS}, '+inf')
}`;

/**
 * The breaker's shared counters: per key a sorted set of run ids by time. It can only add to what Postgres says; when it
 * does not answer, `used` is undefined and the decision is no.
 */
export async function redisBreakerView(
  url: Secret,
  log: Log,
): Promise<BreakerView & { stop: () => Promise<void> }> {
  const redis = await connect(url, log);
  return {
    used: async (appKey) => {
      try {
        const counts = await redis.eval(USED, 3, SENTINEL, PROBE, keyOf(appKey));
        if (counts === null) return "empty";
        const [hour, day] = counts as [number, number];
        return { hour, day };
      } catch (error) {
        log.warn("the breaker's shared view does not answer", { error });
        return undefined;
      }
    },
    rebuild: async (slots) => {
      const filling = redis.multi();
      for (const { appKey, runId, takenAt } of slots) {
        filling.zadd(keyOf(appKey), Math.floor(takenAt.getTime() / 1000), runId);
        filling.expire(keyOf(appKey), DAY_SECONDS);
      }
      filling.set(SENTINEL, String(slots.length));
      try {
        await filling.exec();
        log.warn("the breaker's shared view was empty: filled from Postgres", {
          slots: slots.length,
        });
      } catch (error) {
        log.warn("the breaker's shared view cannot be filled", { error });
      }
    },
    taken: async (appKey, runId) => {
      try {
        const now = Number((await redis.time())[0]);
        await redis
          .multi()
          .zadd(keyOf(appKey), now, runId)
          .zremrangebyscore(keyOf(appKey), "-inf", now - DAY_SECONDS)
          .expire(keyOf(appKey), DAY_SECONDS)
          .exec();
      } catch (error) {
        log.warn("a slot is not in the breaker's shared view; Postgres has it", { error });
      }
    },
    stop: async () => {
      await redis.quit().catch(() => {
        redis.disconnect();
      });
    },
  };
}

async function connect(url: Secret, log: Log): Promise<Redis> {
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
  return redis;
}
