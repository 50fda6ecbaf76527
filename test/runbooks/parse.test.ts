import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseFrame } from "../../runbooks/parse.ts";

const alert = {
  status: "firing",
  labels: { alertname: "A", namespace: "shop" },
  annotations: {},
  startsAt: "2026-11-20T21:08:41.119Z",
  endsAt: "0001-01-01T00:00:00Z",
  generatorURL: "",
  fingerprint: "26a13378e6d21d87",
};
const frame = {
  receiver: "fettle",
  status: "firing",
  alerts: [alert],
  groupKey: "{}",
  version: "4",
  truncatedAlerts: 0,
};

function bytes(value: unknown): Buffer {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
}

function problemOf(body: Buffer): string {
  const parsed = parseFrame(body);
  return parsed.kind === "malformed" ? parsed.problem : "";
}

test("reads what a real Alertmanager 0.25 sent", () => {
  const [line = ""] = readFileSync("test/fixtures/alertmanager-0.25.jsonl", "utf8").split("\n");
  const parsed = parseFrame(Buffer.from(line));

  expect(parsed).toMatchObject({ kind: "frame", frame: { version: "4" } });
});

test("reads Grafana's frame, with its extra and missing fields", () => {
  const grafana = {
    ...frame,
    version: "1",
    orgId: 1,
    title: "x",
    state: "alerting",
    truncatedAlerts: undefined,
  };

  expect(parseFrame(bytes(grafana))).toMatchObject({
    kind: "frame",
    frame: { version: "1", truncatedAlerts: 0 },
  });
});

test("takes null maps as empty, and ignores fields it does not know", () => {
  const body = bytes({
    ...frame,
    notification_reason: "none",
    alerts: [{ ...alert, labels: null, annotations: null }],
  });

  expect(parseFrame(body)).toMatchObject({
    kind: "frame",
    frame: { alerts: [{ labels: {}, annotations: {} }] },
  });
});

test.each<[string, Buffer, RegExp]>([
  ["invalid UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), /^body: is not valid UTF-8$/],
  ["no JSON", bytes("nope"), /^body: is not JSON/],
  ["nothing", Buffer.alloc(0), /^body: is not JSON/],
  ["an array", bytes([]), /^body: /],
  [
    "no version",
    bytes({ ...frame, version: undefined }),
    /^version: must be "4" \(Alertmanager\) or "1"/,
  ],
  [
    "a wrong status",
    bytes({ ...frame, alerts: [{ ...alert, status: "maybe" }] }),
    /^alerts\.0\.status: /,
  ],
  [
    "a label that is a number",
    bytes({ ...frame, alerts: [{ ...alert, labels: { a: 1 } }] }),
    /^alerts\.0\.labels\.a: /,
  ],
  [
    "no start",
    bytes({ ...frame, alerts: [{ ...alert, startsAt: "x" }] }),
    /^alerts\.0\.startsAt: must be an RFC 3339/,
  ],
  [
    "deep nesting",
    bytes(`{"a":${"[".repeat(10_000)}${"]".repeat(10_000)}}`),
    /^body: is nested deeper than 32 levels$/,
  ],
])("says where and what was expected for %s", (_name, body, problem) => {
  expect(problemOf(body)).toMatch(problem);
});

test.each<[string, unknown, RegExp]>([
  [
    "a million alerts that are none",
    { ...frame, alerts: Array.from({ length: 1_000_000 }, () => 1) },
    /^alerts: /,
  ],
  [
    "a year alone as a time",
    { ...frame, alerts: [{ ...alert, startsAt: "2025" }] },
    /^alerts\.0\.startsAt: must be an RFC 3339 time/,
  ],
  [
    "the year 0",
    { ...frame, alerts: [{ ...alert, startsAt: "0000-01-01T00:00:00Z" }] },
    /^alerts\.0\.startsAt/,
  ],
  [
    "an endless fingerprint",
    { ...frame, alerts: [{ ...alert, fingerprint: "f".repeat(40_000) }] },
    /^alerts\.0\.fingerprint/,
  ],
  [
    "half a million labels that are numbers",
    {
      ...frame,
      alerts: [
        {
          ...alert,
          labels: Object.fromEntries(Array.from({ length: 500_000 }, (_, at) => [`l${at}`, 1])),
        },
      ],
    },
    /^alerts\.0/,
  ],
])("says what is wrong with %s, and no more than five things", (_name, value, problem) => {
  const said = problemOf(bytes(value));

  expect(said).toMatch(problem);
  expect(said.split("; ").length).toBeLessThanOrEqual(5);
});

test("counts no brackets inside strings", () => {
  const label = `\\" ${"[{".repeat(100)}`;

  expect(parseFrame(bytes({ ...frame, alerts: [{ ...alert, labels: { label } }] }))).toMatchObject({
    kind: "frame",
  });
});

test("replaces what PostgreSQL's jsonb refuses, and drops a byte order mark", () => {
  const body = Buffer.concat([
    Buffer.from([0xef, 0xbb, 0xbf]),
    bytes(JSON.stringify(frame).replace('"shop"', '"a\\u0000b\\ud800c"')),
  ]);

  expect(parseFrame(body)).toMatchObject({
    frame: { alerts: [{ labels: { namespace: "a\u{FFFD}b\u{FFFD}c" } }] },
  });
});

test("a key called __proto__ changes nothing", () => {
  parseFrame(
    bytes(
      JSON.stringify(frame).replace('"alertname"', '"__proto__":{"polluted":"yes"},"alertname"'),
    ),
  );

  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
});

test("never throws, whatever is sent", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json().map(bytes),
        fc.uint8Array().map((data) => Buffer.from(data)),
      ),
      (body) => {
        expect(["frame", "malformed"]).toContain(parseFrame(body).kind);
      },
    ),
  );
});
