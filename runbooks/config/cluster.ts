import { optional, text, withDefault } from "../../lib/config.ts";

export const clusterVariables = {
  cluster: withDefault(
    "RUNBOOK_CLUSTER",
    text,
    "default",
    "name of the cluster that KUBECONFIG reaches; alerts whose label cluster differs are left alone",
  ),
  kubeconfig: optional("KUBECONFIG", text, "cluster access; the pod's service account when unset"),
} as const;
