import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { envSections, renderEnvExample } from "../../cli/env-example.ts";

test(".env.example holds exactly the services' variables (make env-example writes it)", async () => {
  expect(readFileSync(".env.example", "utf8")).toBe(renderEnvExample(await envSections()));
});

/** One database, one secret between detector and runbooks, one Prometheus, one cluster, one key that signs the record and its exports. */
const SAME_FOR_ALL =
  /^(KUBECONFIG|AIOPS_(DATABASE_URL|WEBHOOK_SECRET)|AUDIT_SIGNING_KEY_(FILE|NAME)|PROM_(URL|TOKEN|TENANT|USERNAME|PASSWORD|(CA|CERT|KEY)_FILE))$/;

test("no two services mean different things by one name", async () => {
  const abouts = new Map<string, string[]>();
  for (const { shape } of await envSections()) {
    for (const { name, presence } of Object.values(shape))
      abouts.set(name, [...(abouts.get(name) ?? []), presence]);
  }

  expect([...abouts].filter(([name, uses]) => uses.length > 1 && !SAME_FOR_ALL.test(name))).toEqual(
    [],
  );
});
