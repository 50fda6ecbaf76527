import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { parseFrame } from "../../../runbooks/parse.ts";
import { targetOf } from "../../../runbooks/match.ts";
import { sortAlerts } from "../../../runbooks/told.ts";

const FOLDER = "test/fixtures/webhooks";

function read(name: string) {
  const parsed = parseFrame(readFileSync(join(FOLDER, name)));
  if (parsed.kind === "malformed") throw new Error(parsed.problem);
  return parsed;
}

test.each(readdirSync(FOLDER))("%s is taken, with nothing odd about it", (name) => {
  expect(read(name).flags).toEqual([]);
});

test("Grafana's alerts have their own status each, and a relative address hurts nobody", () => {
  const { frame } = read("grafana-12-webhook.json");
  const told = sortAlerts(frame.alerts);

  expect(frame).toMatchObject({ version: "1", truncatedAlerts: 0 });
  expect(told.firing).toMatchObject([
    { fingerprint: "c6eadffa33fcdf37", startsAt: "2026-11-20T22:10:30.123456789+01:00" },
  ]);
  expect(told.resolved).toMatchObject([{ annotations: {}, endsAt: "2026-11-20T21:20:30Z" }]);
});

test("an alert without a fingerprint gets one from its labels, the same each time", () => {
  const fingerprints = [1, 2].map(
    () => sortAlerts(read("grafana-test-button.json").frame.alerts).firing[0]?.fingerprint,
  );

  expect(fingerprints[0]).toMatch(/^[0-9a-f]{16}$/);
  expect(fingerprints[1]).toBe(fingerprints[0]);
});

test("kube-state-metrics' crash loop names the Deployment by its pod", () => {
  const [alert] = read("alertmanager-0.34.json").frame.alerts;

  expect(targetOf(alert ?? { labels: {} }, "default")).toMatchObject({
    target: { kind: "deployment", namespace: "shop", name: "checkout" },
  });
});

const frame = { version: "4", receiver: "r", status: "firing", alerts: [] };
const flagsOf = (text: string) => {
  const parsed = parseFrame(Buffer.from(text));
  return parsed.kind === "frame" ? parsed.flags : parsed.problem;
};

test.each<[string, string, unknown]>([
  [
    "a key twice",
    JSON.stringify(frame).replace('"receiver"', '"receiver":"x","receiver"'),
    ["duplicate_keys"],
  ],
  [
    "a key twice, with blanks",
    JSON.stringify(frame).replace('"receiver"', '"receiver" \n: "x" , "receiver"'),
    ["duplicate_keys"],
  ],
  ["a key in two objects", JSON.stringify({ ...frame, a: { k: 1 }, b: [{ k: 1 }, { k: 1 }] }), []],
  ["a key that is also a value", JSON.stringify({ ...frame, receiver: "version" }), []],
  ["a NUL", JSON.stringify({ ...frame, receiver: "a\0" }), ["replaced_characters"]],
  [
    "1e999",
    JSON.stringify(frame).replace('"r"', '"r","x":1e999'),
    "body: holds a number that is too large",
  ],
])("%s is noticed", (_name, text, expected) => {
  expect(flagsOf(text)).toEqual(expected);
});
