import { actionRules } from "../tools/rbac.ts";
import {
  failed,
  ok,
  skipped,
  warning,
  type DoctorCheck,
  type DoctorPorts,
  type Look,
  type Right,
} from "./types.ts";

/** Questions at a time: the API server has others to answer. */
const QUESTIONS_AT_ONCE = 8;

/** What nobody needs who only restarts and scales. */
const TOO_MUCH = [
  ["", "secrets", "", "get"],
  ["", "pods", "exec", "create"],
  ["", "pods", "", "delete"],
  ["apps", "deployments", "", "delete"],
  ["rbac.authorization.k8s.io", "roles", "", "create"],
] as const;

/** Whether the account may do in each namespace what actions need, and no more. */
export function checkKubernetes(
  namespaces: readonly string[],
  policyConfigMap: string | undefined,
  { mayDo }: Pick<DoctorPorts, "mayDo">,
): DoctorCheck {
  return {
    area: "kubernetes",
    what: "rights",
    look: async () => {
      const looks = await Promise.all(
        namespaces.map(async (namespace) => lookAt(namespace, mayDo)),
      );
      const map = policyConfigMap === undefined ? [] : await mapLooks(policyConfigMap, mayDo);
      const everywhere = await anywhereLook(mayDo);
      if (namespaces.length === 0)
        map.push(
          skipped(
            "rights for actions",
            "name namespaces in RUNBOOK_NAMESPACES, or with --namespace",
          ),
        );
      return [...looks.flat(), ...map, everywhere];
    },
  };
}

async function lookAt(namespace: string, mayDo: DoctorPorts["mayDo"]): Promise<Look[]> {
  const needed = actionRules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((each) => {
        const [resource = "", subresource = ""] = each.split("/");
        return verbs.map((verb) => ({ namespace, group, resource, subresource, verb }));
      }),
    ),
  );
  const lacking = await selectAsync(needed, async (right) => !(await mayDo(right)));
  const unwanted = TOO_MUCH.map(([group, resource, subresource, verb]) => {
    return { namespace, group, resource, subresource, verb };
  });
  const granted = await selectAsync(unwanted, mayDo);
  const names = (rights: readonly Right[]) => rights.map(nameOf).join(", ");
  return [
    lacking.length === 0
      ? ok(`rights in ${namespace}`, `all ${needed.length} that actions need`)
      : failed(
          `rights in ${namespace}`,
          `missing: ${names(lacking)} (fettle k8s rbac --namespace ${namespace})`,
        ),
    ...(granted.length === 0
      ? []
      : [warning(`too many rights in ${namespace}`, `not needed: ${names(granted)}`)]),
  ];
}

async function mapLooks(name: string, mayDo: DoctorPorts["mayDo"]): Promise<Look[]> {
  const [namespace = ""] = name.split("/");
  const rights = ["get", "list", "watch"].map((verb) => {
    return { namespace, group: "", resource: "configmaps", subresource: "", verb };
  });
  const lacking = await selectAsync(rights, async (right) => !(await mayDo(right)));
  const what = `policy in ${name}`;
  if (lacking.length === 0) return [ok(what, "readable")];
  return [failed(what, `missing: ${lacking.map(nameOf).join(", ")} in ${namespace}`)];
}

/** A right in all namespaces is a right in those that nobody named. */
async function anywhereLook(mayDo: DoctorPorts["mayDo"]): Promise<Look> {
  const right = {
    namespace: "",
    group: "apps",
    resource: "deployments",
    subresource: "",
    verb: "patch",
  };
  return (await mayDo(right))
    ? warning("rights everywhere", "it may patch deployments in every namespace; Roles are enough")
    : ok("rights everywhere", "none");
}

async function selectAsync(
  rights: readonly Right[],
  holds: (right: Right) => Promise<boolean>,
): Promise<readonly Right[]> {
  const found: Right[] = [];
  for (let at = 0; at < rights.length; at += QUESTIONS_AT_ONCE) {
    const some = rights.slice(at, at + QUESTIONS_AT_ONCE);
    const answers = await Promise.all(some.map(holds));
    found.push(...some.filter((_, nth) => answers[nth]));
  }
  return found;
}

function nameOf({ group, resource, subresource, verb }: Right): string {
  const part = subresource === "" ? "" : `/${subresource}`;
  return `${verb} ${resource}${part}${group === "" ? "" : `.${group}`}`;
}
