import { stringify } from "yaml";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/**
 * What the actions, and the looks before and after them, ask of the API server; a test holds it against the requests that
 * they make. No Secrets, no `pods/exec`, no deletion of anything.
 */
export const actionRules: readonly Rule[] = [
  rule("apps", ["deployments", "statefulsets", "daemonsets"], ["get", "list", "patch"]),
  rule("apps", ["replicasets"], ["list"]),
  rule("apps", ["deployments/scale", "statefulsets/scale"], ["patch"]),
  rule("", ["pods"], ["list"]),
  rule("", ["pods/eviction"], ["create"]),
  rule("", ["resourcequotas"], ["list"]),
  rule("policy", ["poddisruptionbudgets"], ["list"]),
  rule("autoscaling", ["horizontalpodautoscalers"], ["list", "patch"]),
];

/** What diagnostics read besides: of ConfigMaps the names are kept, never what is in them. */
export const diagnosticsRules: readonly Rule[] = [
  rule("apps", ["controllerrevisions"], ["list"]),
  rule("", ["events", "configmaps"], ["list"]),
  rule("", ["pods/log"], ["get"]),
];

function rule(group: string, resources: readonly string[], verbs: readonly string[]): Rule {
  return { apiGroups: [group], resources, verbs };
}

const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

interface RbacRequest {
  readonly namespaces: readonly string[];
  /** `<namespace>/<name>` of the service account that the runbooks service runs as. */
  readonly serviceAccount: string;
}

/**
 * Roles and their bindings as YAML, one pair for each namespace: never a ClusterRole, so that a namespace that is not
 * named stays out of reach whatever the policy says.
 *
 * @throws Error that names what is no name
 */
export function rbacManifest({ namespaces, serviceAccount }: RbacRequest): string {
  const [home = "", account = "", ...rest] = serviceAccount.split("/");
  const names = [home, account, ...namespaces];
  const wrong = names.find((name) => !NAME.test(name));
  if (wrong !== undefined || rest.length > 0) {
    const shown = JSON.stringify(rest.length > 0 ? serviceAccount : wrong);
    throw new Error(
      `expected names of namespaces and a service account <namespace>/<name>, got ${shown}`,
    );
  }
  return namespaces
    .flatMap((namespace) => {
      const metadata = { name: "fettle-executor", namespace };
      return [
        {
          apiVersion: "rbac.authorization.k8s.io/v1",
          kind: "Role",
          metadata,
          rules: [...actionRules, ...diagnosticsRules],
        },
        {
          apiVersion: "rbac.authorization.k8s.io/v1",
          kind: "RoleBinding",
          metadata,
          subjects: [{ kind: "ServiceAccount", name: account, namespace: home }],
          roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: metadata.name },
        },
      ];
    })
    .map((object) => stringify(object, { aliasDuplicateObjects: false }))
    .join("---\n");
}
