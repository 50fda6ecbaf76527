import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { collectContainerLogs } from "../../../runbooks/collect/logs.ts";
import { collectPrometheus } from "../../../runbooks/collect/prometheus.ts";
import type { StepContext, StepPorts } from "../../../runbooks/collect/step.ts";

test("a step that needs what is not configured names the variable, as the configuration calls it", async () => {
  const notes: string[] = [];
  const basket = {
    keep: () => undefined,
    note: (problem: string) => {
      notes.push(problem);
    },
  };
  const context = { target: { kind: "container", name: "web" } } as unknown as StepContext;
  const ports = { metrics: undefined, containers: undefined } as unknown as StepPorts;
  const asked = { container: undefined, lines: 10 };

  await collectContainerLogs({ step: "container_logs", ...asked }, context, ports, basket);
  await collectPrometheus({ step: "prometheus", minutes: 1, queries: {} }, context, ports, basket);

  const variables = notes.map((note) => /\((\w+)\)$/.exec(note)?.[1]);
  expect(variables).toEqual(["RUNBOOK_HYPERVISOR_URL", "PROM_URL"]);
  const known = await readFile(".env.example", "utf8");
  for (const variable of variables) expect(known).toContain(`\n#${variable}=`);
});
