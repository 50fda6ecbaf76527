import { startFettle, type FettleProcess } from "../fakes/fettle.ts";
import { measure, type Measured } from "./measure.ts";
import { givenSurroundings, type Surroundings } from "./surroundings.ts";
import { ownPort } from "../servers/unprivileged.ts";

/** All that one run needs, on servers of its own: a database, a cluster, and a runbooks service that comes back. */
export interface World extends Pick<
  Surroundings,
  "env" | "database" | "kubernetes" | "approvers" | "limits" | "stop"
> {
  readonly service: SupervisedService;
  readonly output: () => string;
  /** The service as it was when it was ready. */
  readonly processes: readonly { readonly url: string; readonly before: Measured }[];
  /** Delivers as Alertmanager does, until it is accepted. */
  readonly deliver: (status: "firing" | "resolved") => Promise<void>;
  /** Presses "Approve" on the page, again if no page comes back. Returns the last answer's status. */
  readonly approveOnPage: () => Promise<number>;
  readonly runState: () => Promise<string | undefined>;
}

/** @param failpoint where the service's first process kills itself; none when undefined */
export async function givenWorld(
  failpoint?: string,
  more: Readonly<Record<string, string>> = {},
  databaseUrl?: string,
): Promise<World> {
  const around = await givenSurroundings(databaseUrl === undefined ? {} : { databaseUrl });
  const env = { ...around.env, ...more };
  const service = await superviseService(env, failpoint).catch(async (error: unknown) => {
    await around.stop();
    throw error;
  });
  return {
    ...around,
    env,
    service,
    output: service.output,
    processes: [{ url: service.url, before: await measure(service.url) }],
    deliver: async (status) => around.deliver(service.url, status),
    approveOnPage: async () => around.approve(service.url),
    runState: async () => around.stateOf(),
    stop: async () => {
      await service.stop();
      await around.stop();
    },
  };
}

/** A service whose process is started again when it dies, as Kubernetes does; without the failpoint the second time. */
interface SupervisedService {
  readonly url: string;
  /** When its process was killed (by a signal), in the order of time. */
  readonly deaths: readonly Date[];
  /** Everything that all of its processes have printed. */
  readonly output: () => string;
  /** Its present process. */
  readonly process: () => FettleProcess | undefined;
  /** An orderly stop and a new start, as in a rolling update. Does `meanwhile` while no process runs. */
  readonly restart: (meanwhile?: () => Promise<void>) => Promise<void>;
  readonly stop: () => Promise<void>;
}

async function superviseService(
  env: Readonly<Record<string, string>>,
  failpoint?: string,
): Promise<SupervisedService> {
  const port = await ownPort();
  const deaths: Date[] = [];
  const processes: FettleProcess[] = [];
  let stopping = false;
  const launch = async (more: Readonly<Record<string, string>> = {}) => {
    const started = await startFettle("runbooks", "RUNBOOKS_PORT", { ...env, ...more }, port);
    processes.push(started);
    void started.exited.then((code) => {
      if (code !== null) return; // it ended because it was told to
      deaths.push(new Date());
      if (!stopping) launching = launch();
    });
  };
  let launching = launch(failpoint === undefined ? {} : { FETTLE_FAILPOINT: failpoint });
  await launching;
  return {
    url: `http://127.0.0.1:${port}`,
    deaths,
    output: () => processes.map(({ output }) => output()).join(""),
    process: () => processes.at(-1),
    restart: async (meanwhile) => {
      await processes.at(-1)?.stop();
      await meanwhile?.();
      launching = launch();
      await launching;
    },
    stop: async () => {
      stopping = true;
      await launching;
      await processes.at(-1)?.stop();
    },
  };
}
