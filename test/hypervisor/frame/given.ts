import { createGuard } from "../../../hypervisor/frame/guard.ts";
import { limitRate } from "../../../hypervisor/frame/limits.ts";
import { corsByList } from "../../../hypervisor/frame/origins.ts";
import { createRouter, type Router } from "../../../hypervisor/frame/router.ts";
import type { Principal } from "../../../hypervisor/types.ts";
import { systemClock } from "../../../lib/clock.ts";
import { buildApp, listen } from "../../../lib/http.ts";
import { silentLog } from "../../../lib/log.ts";
import { createRegistry } from "../../../lib/metrics.ts";
import type { Database } from "../../../lib/postgres.ts";
import { fakeAuthenticator } from "../../fakes/authenticator.ts";
import { recordingLog, type RecordingLog } from "../../fakes/recording-log.ts";
import { createTestDatabase, openTestDatabase } from "../../servers/postgres.ts";

export interface Frame {
  readonly url: string;
  readonly database: Database;
  readonly metrics: () => Promise<string>;
  /** What the sockets' refusals were told of. */
  readonly log: RecordingLog;
  readonly stop: () => Promise<void>;
}

interface FrameOptions {
  readonly people: Readonly<Record<string, Partial<Principal>>>;
  readonly add: (router: Router, database: Database) => void;
  readonly origins?: readonly string[];
  readonly perMinute?: number;
}

/** The frame with routes of a test's own, over a real database. */
export async function givenFrame(options: FrameOptions): Promise<Frame> {
  const { people, add, origins = [], perMinute = 10_000 } = options;
  const own = await createTestDatabase();
  const database = openTestDatabase(own.url);
  const registry = createRegistry("hypervisor");
  const log = recordingLog();
  const authenticator = fakeAuthenticator(people);
  let router: Router | undefined;
  const app = buildApp(
    {
      service: "hypervisor",
      log: silentLog,
      registry,
      readiness: async () => Promise.resolve({ ready: true, checks: {} }),
    },
    (express) => {
      const guard = createGuard({
        authenticator,
        database,
        clock: systemClock,
        log: silentLog,
        registry,
      });
      express.use(corsByList(origins, guard));
      router = createRouter(express, {
        guard,
        database,
        origins,
        trustsProxy: () => false,
        limit: limitRate(perMinute),
        log,
        registry,
      });
      add(router, database);
    },
  );
  const upgrade = router?.sockets.upgrade;
  const server = await listen(app, {
    host: "127.0.0.1",
    port: 0,
    ...(upgrade === undefined ? {} : { upgrade }),
  });
  return {
    url: server.url,
    database,
    log,
    metrics: async () => registry.metrics(),
    stop: async () => {
      await server.stop();
      await database.close();
      await own.drop();
    },
  };
}

export interface Row {
  readonly actor: string;
  readonly event: string;
  readonly result: string;
  readonly target: string;
  readonly ip: string;
  readonly summary: string;
  readonly correlation: string | null;
}

/** This service's rows of the record, oldest first. */
export async function rowsOf(database: Database): Promise<readonly Row[]> {
  const { rows } = await database.query<Row>(
    `SELECT actor, event, detail->>'result' AS result, target, detail->>'ip' AS ip,
            detail->>'summary' AS summary, correlation_id AS correlation
       FROM runbooks_audit WHERE detail ? 'resource_type' ORDER BY id`,
  );
  return rows;
}
