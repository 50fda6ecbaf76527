import { access } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { givenWorkplace, type Workplace } from "./given.ts";

let place: Workplace;

beforeAll(async () => {
  place = await givenWorkplace();
});

afterAll(async () => {
  await place.remove();
});

test("fettle all tells the problems of every service at once, before it starts or writes anything", async () => {
  const { code, stderr } = await place.fettle(["all"], {
    AIOPS_INTERVAL_SECONDS: "0",
    RUNBOOK_AUTOFIX_POLICY: "latency=reboot",
    HYPERVISOR_API_TOKEN: "short",
  });

  expect(code).toBe(2);
  for (const name of ["AIOPS_INTERVAL_SECONDS", "RUNBOOK_AUTOFIX_POLICY", "HYPERVISOR_API_TOKEN"]) {
    expect(stderr).toContain(`${name}: `);
  }
  await expect(access(join(place.folder, ".fettle"))).rejects.toThrow("ENOENT");
});
