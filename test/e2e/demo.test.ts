import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { fettle } from "../fakes/fettle.ts";
import { startGnupg } from "../servers/gnupg.ts";
import { openEnvelopeByPython } from "../servers/python.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "demo-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("shows the whole way in under a minute, and leaves a record that gpg opens", async () => {
  const place = join(folder, "whole");
  const start = performance.now();
  const { code, stdout, stderr } = await fettle(["demo", "--yes", "--folder", place]);

  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(performance.now() - start).toBeLessThan(60_000);
  for (const sign of [
    "level_shift up",
    "approved by",
    "dryRun=All",
    "changes in the cluster: 0",
    "opened again",
    place,
    /gpg --decrypt \S+\/exports\/audit-\d+\.csv\.gpg\n/, // where fettle decrypt writes it
  ]) {
    expect(stdout).toMatch(sign);
  }

  const [envelope = ""] = await readdir(join(place, "exports"));
  const message = await openEnvelopeByPython(
    join(place, "exports", envelope),
    join(place, "keys", "local.key"),
    folder,
  );
  const gnupg = await startGnupg();
  await gnupg.importKey(await readFile(join(place, "keys", "auditor.key.asc"), "utf8"));
  expect(await gnupg.decryptFile(message)).toEqual(await readFile(join(place, "audit.csv")));
  await gnupg.stop();
});

test("the cluster's log of the demo holds two dry runs, for the plan and for the run, and no change", async () => {
  const lines = (await readFile(join(folder, "whole", "kubernetes-requests.jsonl"), "utf8"))
    .trimEnd()
    .split("\n");
  const requests = lines.map(
    (line) => JSON.parse(line) as { method: string; dryRun: boolean; effective: boolean },
  );

  const patches = requests.filter(({ method }) => method === "PATCH");
  expect(patches.length).toBeGreaterThanOrEqual(2);
  expect(patches.filter(({ dryRun, effective }) => !dryRun || effective)).toEqual([]);
});

test("no secret of the demo stands in its log", async () => {
  const log = await readFile(join(folder, "whole", "demo.log"), "utf8");
  const { users } = JSON.parse(
    await readFile(join(folder, "whole", "kubeconfig.json"), "utf8"),
  ) as { users: { user: { token: string } }[] };

  expect(log).toContain('"run moved"');
  expect(log).not.toContain(users[0]?.user.token);
  expect(log).not.toContain(
    (await readFile(join(folder, "whole", "keys", "local.key"), "utf8")).trim(),
  );
});

test("ends with an error, and says what did not happen, when the policy allows nothing", async () => {
  const { code, stderr } = await fettle(["demo", "--yes", "--folder", join(folder, "refused")], {
    RUNBOOK_AUTOFIX_POLICY: "other=rollout_restart",
  });

  expect(stderr).toContain("skipped_no_policy: the policy has no rule for latency_p99:level_shift");
  expect(code).toBe(1);
});

test("asks for --yes when there is no terminal to ask on", async () => {
  const { code, stderr } = await fettle(["demo", "--folder", join(folder, "asked")]);

  expect(stderr).toContain("run it with --yes");
  expect(code).toBe(2);
});
