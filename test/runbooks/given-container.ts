import { silentLog } from "../../lib/log.ts";
import { Secret } from "../../lib/secret.ts";
import { restartContainer } from "../../runbooks/actions/restart-container.ts";
import type { Action, ApplyContext, Effect, Prepared } from "../../runbooks/actions/types.ts";
import { hypervisorContainers } from "../../runbooks/adapters/hypervisor.ts";
import type { Plan } from "../../runbooks/types/plan.ts";
import type { Run } from "../../runbooks/types/run.ts";
import type { Target } from "../../runbooks/types/target.ts";
import { fakeCluster } from "../fakes/cluster.ts";
import { startHypervisor, type FakeContainer, type FakeHypervisor } from "../fakes/hypervisor.ts";

export const START = Date.parse("2026-11-21T03:00:00Z");
export const WEB: Target = {
  cluster: "default",
  namespace: "shop",
  kind: "container",
  name: "web",
  app: "web",
};
const RULE = {
  trigger: "t",
  reason: undefined,
  action: "restart_container",
  argument: undefined,
  options: {},
  text: "",
} as const;

export interface GivenContainer {
  readonly hypervisor: FakeHypervisor;
  readonly web: () => FakeContainer;
  readonly action: (token?: string) => Action;
  readonly prepare: (
    target?: Target,
    options?: { readonly dryRun?: boolean; readonly token?: string },
  ) => Promise<Prepared>;
  readonly planned: (dryRun?: boolean) => Promise<Plan>;
  readonly settled: (plan: Plan) => Promise<boolean | undefined>;
  readonly worker: () => ContainerWorker;
}

/** One worker at a run: what it wrote down, and a clock and a stop sign that the test holds. */
interface ContainerWorker {
  progress: Run["progress"];
  readonly records: object[];
  seconds: number;
  stop: string | undefined;
  readonly apply: (plan: Plan) => Promise<Effect>;
  /** Until it does not wait any longer. */
  readonly finish: (plan: Plan) => Promise<Effect>;
}

const LOOKS_MAX = 100;

/** A hypervisor with one container, and the product's own client for it. */
export async function givenContainer(): Promise<GivenContainer> {
  const hypervisor = await startHypervisor();
  const action = (token = hypervisor.token) => {
    const access = { url: hypervisor.url, token: new Secret(token) };
    return restartContainer(hypervisorContainers(access, { log: silentLog, timeoutMs: 3_000 }));
  };
  const prepare: GivenContainer["prepare"] = async (target = WEB, { dryRun = false, token } = {}) =>
    action(token).prepare(
      { target, rule: RULE, alertPods: [], now: new Date(START), dryRun, runId: "run_1" },
      fakeCluster(),
    );
  return {
    hypervisor,
    action,
    prepare,
    web: () => {
      const container = hypervisor.containers.get("shop/web");
      if (container === undefined) throw new Error("there is no shop/web");
      return container;
    },
    planned: async (dryRun = false) => {
      const prepared = await prepare(WEB, { dryRun });
      if (prepared.kind !== "plan") throw new Error(prepared.why);
      return prepared.plan;
    },
    settled: async (plan) => action().settled(plan, fakeCluster()),
    worker: () => workerWith(action),
  };
}

function workerWith(action: () => Action): ContainerWorker {
  const worker: ContainerWorker = {
    progress: {},
    records: [],
    seconds: 0,
    stop: undefined,
    apply: async (plan) => {
      const context: ApplyContext = {
        runId: "run_1",
        progress: worker.progress,
        now: new Date(START + worker.seconds * 1000),
        stopReason: async () => worker.stop,
        record: async (progress, detail) => {
          worker.progress = progress;
          if (detail !== undefined) worker.records.push(detail);
        },
      };
      return action().apply(plan, context, fakeCluster());
    },
    finish: async (plan) => {
      for (let look = 0; look < LOOKS_MAX; look += 1) {
        const effect = await worker.apply(plan);
        if (effect.kind !== "wait") return effect;
        worker.seconds += effect.seconds;
      }
      throw new Error("it waits for ever");
    },
  };
  return worker;
}
