import { afterEach, expect, test } from "@jest/globals";
import { actionRules } from "../../runbooks/tools/rbac.ts";
import { writeKubeconfig, type Kubeconfig } from "../fakes/kubeconfig.ts";
import { answering, doctor, stopAnswering } from "./given-doctor.ts";

afterEach(stopAnswering);

interface Review {
  readonly spec: {
    readonly resourceAttributes: {
      readonly namespace?: string;
      readonly group?: string;
      readonly resource: string;
      readonly subresource?: string;
      readonly verb: string;
    };
  };
}

/** An API server that answers SelfSubjectAccessReviews. */
async function givenCluster(
  allows: (right: string, namespace: string) => boolean,
): Promise<Kubeconfig> {
  const url = await answering((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const review = JSON.parse(Buffer.concat(parts).toString()) as Review;
      const { namespace = "", group, resource, subresource, verb } = review.spec.resourceAttributes;
      const part = subresource ? `/${subresource}` : "";
      const right = `${verb} ${resource}${part}${group ? `.${group}` : ""}`;
      response.setHeader("content-type", "application/json");
      response.statusCode = 201;
      response.end(JSON.stringify({ ...review, status: { allowed: allows(right, namespace) } }));
    });
  });
  return writeKubeconfig({ url, token: "canary-cluster-token" });
}

const NEEDED = new Set(
  actionRules.flatMap(({ apiGroups: [group = ""], resources, verbs }) =>
    resources.flatMap((each) => verbs.map((verb) => `${verb} ${each}${group && `.${group}`}`)),
  ),
);

async function looked(allows: Parameters<typeof givenCluster>[0], ...namespaces: string[]) {
  const kubeconfig = await givenCluster(allows);
  const env = { KUBECONFIG: kubeconfig.path, RUNBOOK_POLICY_CONFIGMAP: "runbooks/runbooks-policy" };
  const found = await doctor(env, "--namespace", ...namespaces);
  await kubeconfig.remove();
  return found.of("kubernetes").map(({ what, result, detail }) => [what, result, detail]);
}

test("the rights of fettle k8s rbac are enough, and not too many", async () => {
  const map = (right: string, namespace: string) =>
    namespace === "runbooks" && /^(get|list|watch) configmaps$/.test(right);
  const found = await looked(
    (right, at) => (at === "shop" && NEEDED.has(right)) || map(right, at),
    "shop",
  );

  expect(found).toEqual([
    ["rights in shop", "ok", `all ${NEEDED.size} that actions need`],
    ["policy in runbooks/runbooks-policy", "ok", "readable"],
    ["rights everywhere", "ok", "none"],
  ]);
});

test("a right that lacks is named, and so is each that nobody needs", async () => {
  const few = await looked((right) => NEEDED.has(right) && !/eviction/.test(right), "shop");
  const all = await looked(() => true, "shop", "pay");

  expect(few[0]).toEqual([
    "rights in shop",
    "failed",
    "missing: create pods/eviction (fettle k8s rbac --namespace shop)",
  ]);
  expect(few[1]?.slice(0, 2)).toEqual(["policy in runbooks/runbooks-policy", "failed"]);
  const many = all.filter(([what]) => what === "too many rights in pay");
  expect(many).toMatchObject([
    ["too many rights in pay", "warning", expect.stringContaining("get secrets")],
  ]);
  expect(all.at(-1)).toMatchObject(["rights everywhere", "warning", expect.any(String)]);
});
