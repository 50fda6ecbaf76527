import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { createHypervisorMetrics } from "../../hypervisor/metrics.ts";
import { createRegistry } from "../../lib/metrics.ts";

test("a disk that cannot be measured has no numbers, instead of the last ones, and is counted", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fettle-disk-"));
  const registry = createRegistry("hypervisor");
  createHypervisorMetrics(registry, folder);
  const sample = async (name: string) =>
    new RegExp(`^arm_hypervisor_${name}(?:{[^}]*})? (\\S+)$`, "m").exec(
      await registry.metrics(),
    )?.[1];
  const disk = ["disk_total_bytes", "disk_free_bytes", "disk_used_bytes"];
  const samples = async () => {
    const found: (string | undefined)[] = [];
    for (const name of disk) found.push(await sample(name));
    return found;
  };

  expect((await samples()).map(Number).every((bytes) => bytes > 0)).toBe(true);
  expect(await sample("disk_errors_total")).toBe("0");
  await rmdir(folder); // as when it was unmounted
  expect(await samples()).toEqual([undefined, undefined, undefined]);
  expect(await sample("disk_errors_total")).toBe("4"); // one for each scrape
});
