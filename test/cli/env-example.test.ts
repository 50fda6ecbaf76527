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
  // What two of them take from one table of lib/ is the same thing.
  const meanings = new Map<string, Set<unknown>>();
  for (const { shape } of await envSections())
    for (const variable of Object.values(shape))
      meanings.set(variable.name, (meanings.get(variable.name) ?? new Set()).add(variable));

  const twice = [...meanings].filter(([name, uses]) => uses.size > 1 && !SAME_FOR_ALL.test(name));
  expect(twice.map(([name]) => name)).toEqual([]);
});
