import { ClusterError, type Cluster, type Workload } from "../types/cluster.ts";
import type { Finding } from "../types/plan.ts";
import { describeTarget, kindWord, type Target } from "../types/target.ts";

/** The workload, or why nothing can be done with it. */
export async function findWorkload(
  target: Target,
  cluster: Cluster,
): Promise<Workload | { readonly refused: string }> {
  const workload = await cluster.workload(target);
  if (workload === undefined) return { refused: `there is no ${describeTarget(target)}` };
  if (workload.replicas === 0) return { refused: whyEmpty(target) };
  return workload;
}

function whyEmpty(target: Target): string {
  return target.kind === "daemonset"
    ? "the DaemonSet runs on no node"
    : `the ${kindWord(target)} is scaled to 0: somebody switched it off`;
}

/** A rollout that is under way replaces pods already, and its own trouble is not what the plan was made for. */
export function rolloutFinding(
  target: Target,
  { generation, observedGeneration, updatedReplicas, replicas }: Workload,
  severity: Finding["severity"],
): readonly Finding[] {
  if (observedGeneration >= generation && updatedReplicas >= replicas) return [];
  const text = `a rollout of the ${kindWord(target)} is under way (${updatedReplicas} of ${replicas} pods are new)`;
  return [{ severity, about: "rollout", text }];
}

/** A tool that owns the definition puts back what it finds changed. */
export function ownerFinding(
  { managedBy }: Workload,
  severity: Finding["severity"],
): readonly Finding[] {
  if (managedBy === undefined) return [];
  return [{ severity, about: "gitops", text: `${managedBy} owns it, and may undo the change` }];
}

/** What a read that is only advice gives, or what it says that it cannot be had. */
export async function advice<Value>(
  about: Finding["about"],
  read: () => Promise<Value>,
  toFindings: (value: Value) => readonly Finding[],
): Promise<readonly Finding[]> {
  try {
    return toFindings(await read());
  } catch (error) {
    if (!(error instanceof ClusterError) || error.retryable) throw error;
    return [{ severity: "warn", about, text: `not known: ${error.message}` }];
  }
}

/** Lets the server check the write that the plan begins with. What may pass is a warning; what it refuses for good stops. */
export async function dryRunFinding(work: () => Promise<unknown>): Promise<Finding> {
  try {
    await work();
    return { severity: "info", about: "dry-run", text: "the cluster would accept it" };
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    if (error.reason === "pdb") {
      const text = `the disruption budget would not let the first pod go now: ${error.message}`;
      return { severity: "warn", about: "pdb", text };
    }
    if (error.retryable) throw error;
    return { severity: "stop", about: "dry-run", text: error.message };
  }
}

export function replicasFinding(affected: number, of: number): Finding {
  const share = Math.round((100 * affected) / Math.max(1, of));
  return {
    severity: "info",
    about: "replicas",
    text: `touches ${affected} of ${of} pods (${share} %)`,
  };
}
