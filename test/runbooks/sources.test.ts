import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { sha256Hex } from "../../lib/canonical.ts";
import { Secret } from "../../lib/secret.ts";
import { openSources, sourcesProblems } from "../../runbooks/sources.ts";

const folder = mkdtempSync(join(tmpdir(), "fettle-sources-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const none = { webhookToken: undefined, webhookSecret: undefined, host: "0.0.0.0" };
const hash = sha256Hex("awh_team-a");

function file(text: string): string {
  const path = join(folder, "sources.yaml");
  writeFileSync(path, text);
  return path;
}

test("the file's senders are added to those of the variables, with their namespaces", () => {
  writeFileSync(join(folder, "key"), "a-key-of-grafana-1\n");
  const sourcesFile = file(`
sources:
  - { name: team-a, kind: bearer, sha256: [${hash}], namespaces: [a, a-test] }
  - { name: grafana, kind: hmac, key_files: [${join(folder, "key")}] }
  - { name: mesh, kind: mtls, names: ["spiffe://mesh/am"], namespaces: [] }
`);

  const sources = openSources({ ...none, webhookToken: new Secret("awh_x"), sourcesFile });

  expect(sources.all.map(({ name }) => name)).toEqual([
    "alertmanager",
    "team-a",
    "grafana",
    "mesh",
  ]);
  expect(sources.sourceNamespacesOf("team-a")).toEqual(["a", "a-test"]);
  expect(sources.sourceNamespacesOf("grafana")).toBeNull();
  expect(sources.sourceNamespacesOf("mesh")).toEqual([]);
  expect(sources.allowAnonymous).toBe(false);
  expect(JSON.stringify(sources)).not.toContain("a-key-of-grafana-1");
});

test("anonymous senders are let in only on a loopback address, and only without any source", () => {
  const at = (host: string, sourcesFile?: string) =>
    openSources({ ...none, host, sourcesFile }).allowAnonymous;

  expect(at("127.0.0.1")).toBe(true);
  expect(at("0.0.0.0")).toBe(false);
  expect(at("127.0.0.1", file(`sources: [{ name: a, kind: bearer, sha256: [${hash}] }]`))).toBe(
    false,
  );
});

test.each<[string, RegExp]>([
  [
    "sources: [{ name: a, kind: bearer, sha256: [awh_secret-token] }]",
    /sources\.0\.sha256\.0: must be a SHA-256/,
  ],
  [
    `sources: [{ name: a, kind: bearer, token: x, sha256: [${hash}] }]`,
    /Unrecognized key: "token"/,
  ],
  [
    `sources: [{ name: A, kind: bearer, sha256: [${hash}] }]`,
    /sources\.0\.name: must be lower-case/,
  ],
  [`sources: [{ name: detector, kind: bearer, sha256: [${hash}] }]`, /Fettle's own name/],
  [
    `sources: [{ name: a, kind: bearer, sha256: [${hash}] }, { name: a, kind: basic, sha256: [${hash}] }]`,
    /two sources are called a/,
  ],
  ["sources: [{ name: a, kind: hmac, key_files: [/no/such/file] }]", /ENOENT/],
  ["sources: [", /./],
  ["", /file: /],
])("a broken file is refused with the place, and without a secret: %j", (text, problem) => {
  const problems = sourcesProblems({ ...none, sourcesFile: file(text) });

  expect(problems).toEqual([expect.stringMatching(problem)]);
  expect(problems[0]).toMatch(/^RUNBOOK_SOURCES_FILE: /);
  expect(problems[0]).not.toContain("awh_secret-token");
});

test("a file that is not there is a problem, not a start without it", () => {
  expect(sourcesProblems({ ...none, sourcesFile: join(folder, "none.yaml") })).toEqual([
    expect.stringContaining("ENOENT"),
  ]);
});
