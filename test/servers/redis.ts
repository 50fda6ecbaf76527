import * as ops from "../../ops/test/redis.ts";
import { fromRun, placeServer, programPath } from "./unprivileged.ts";

/** The Redis that all test files share: use keys of your own, never FLUSHALL. */
export function redisUrl(): string {
  return fromRun("FETTLE_TEST_REDIS_URL");
}

/** A Redis of its own, for tests that stop, freeze or empty it. Nothing is kept over a stop. */
export interface PrivateRedis {
  readonly url: string;
  readonly stop: () => Promise<void>;
  readonly start: () => Promise<void>;
  readonly freeze: () => void;
  readonly thaw: () => void;
}

export async function startPrivateRedis(): Promise<PrivateRedis> {
  const place = await placeServer("redis");
  let running = await ops.startRedis(programPath("REDIS_SERVER"), place);
  return {
    url: ops.redisUrl(place.port),
    stop: () => running.stop(),
    start: async () => {
      running = await ops.startRedis(programPath("REDIS_SERVER"), place);
    },
    freeze: () => {
      running.freeze();
    },
    thaw: () => {
      running.thaw();
    },
  };
}
