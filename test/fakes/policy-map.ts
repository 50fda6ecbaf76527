import { ClusterError } from "../../runbooks/types/cluster.ts";
import type { PolicyMap } from "../../runbooks/types/policy.ts";

export interface FakePolicyMap extends PolicyMap {
  /** Puts the ConfigMap's data; undefined deletes it. Whoever watches is told. */
  readonly put: (data: Readonly<Record<string, string>> | undefined) => void;
  /** The cluster answers no reads, and ends the watch. Undefined: it answers again. */
  readonly failWith: (message: string | undefined) => void;
  readonly reads: () => number;
}

/** A ConfigMap in memory. */
export function fakePolicyMap(data?: Readonly<Record<string, string>>): FakePolicyMap {
  let current = data;
  let failure: string | undefined;
  let version = 1;
  let reads = 0;
  let watchers: (() => void)[] = [];
  const tell = () => {
    version += 1;
    for (const watcher of watchers.splice(0)) watcher();
  };
  return {
    name: "runbooks/runbooks-policy",
    read: async () => {
      reads += 1;
      if (failure !== undefined) throw new ClusterError(failure, { retryable: true });
      return { data: current, version: String(version), changedBy: "eva" };
    },
    changed: async (since, signal) => {
      if (failure !== undefined) return "lost";
      if (since !== String(version)) return "look";
      return new Promise((resolve) => {
        const done = () => {
          watchers = watchers.filter((watcher) => watcher !== done);
          resolve(failure === undefined ? "look" : "lost");
        };
        watchers.push(done);
        signal.addEventListener("abort", done);
      });
    },
    put: (next) => {
      current = next;
      tell();
    },
    failWith: (message) => {
      failure = message;
      tell();
    },
    reads: () => reads,
  };
}
