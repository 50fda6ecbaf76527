import { afterAll, beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import { z } from "zod";
import { HOSTILE_TEXTS } from "../fixtures/hostile-texts.ts";
import { startLoki, type Loki } from "../fakes/loki.ts";
import { givenHypervisor, STATIC_TOKEN, type Hypervisor } from "./given.ts";

interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly $ref?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
}

interface Operation {
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema: Schema;
  }[];
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema: Schema }>>;
  };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** Of each route; one seed, so that a failure comes again. */
const RUNS = 25;
/** It would end what the other requests stand on, or is passed to another server as it is. */
const LEFT_OUT = /^\/(grafana|loki|prometheus)\/|^\/auth\/logout|^\/docs/;

let given: Hypervisor;
let loki: Loki;
let document: Document;
beforeAll(async () => {
  loki = await startLoki();
  given = await givenHypervisor({ HYPERVISOR_BACKEND: "memory", LOKI_URL: loki.url });
  const response = await fetch(`${given.url}/openapi.json`);
  document = (await response.json()) as Document;
});
afterAll(async () => {
  await given.stop();
  await loki.stop();
});

const WORDS = [
  "web",
  "default",
  "admin",
  "1",
  "0",
  "-1",
  "true",
  "2026-01-31T12:00:00Z",
  "a.b-c_d",
];
const text = fc.oneof(
  fc.constantFrom(...WORDS),
  fc.constantFrom(...HOSTILE_TEXTS.filter((each) => each.length < 5_000)),
  fc.string({ maxLength: 80, unit: "binary" }),
);

/** What the schema allows, and every now and then something else. */
function valueOf(schema: Schema, depth = 0): fc.Arbitrary<unknown> {
  const allowed = allowedBy(schema, depth);
  if (depth > 4) return text;
  return fc.oneof(
    { weight: 8, arbitrary: allowed },
    { weight: 1, arbitrary: text },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  );
}

function allowedBy(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const { $ref, anyOf, type } = schema;
  if ($ref !== undefined) {
    const name = $ref.split("/").at(-1) ?? "";
    return depth > 4 ? text : allowedBy(document.components.schemas[name] ?? {}, depth + 1);
  }
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (anyOf !== undefined) return fc.oneof(...anyOf.map((each) => allowedBy(each, depth + 1)));
  return ofType[type ?? "string"]?.(schema, depth) ?? text;
}

const number = ({ minimum = -10, maximum = 1_000 }: Schema): fc.Arbitrary<unknown> => {
  const min = Math.ceil(minimum);
  return fc.integer({ min, max: Math.max(min, Math.floor(maximum)) });
};

const ofType: Readonly<Record<string, (schema: Schema, depth: number) => fc.Arbitrary<unknown>>> = {
  integer: number,
  number,
  boolean: () => fc.boolean(),
  null: () => fc.constant(null),
  array: ({ items = {} }, depth) => fc.array(valueOf(items, depth + 1), { maxLength: 3 }),
  // fast-check cannot look ahead.
  string: ({ pattern = "(?" }) =>
    pattern.includes("(?")
      ? text
      : fc.oneof(fc.constantFrom(...WORDS), fc.stringMatching(new RegExp(pattern))),
  object: ({ properties = {}, required = [] }, depth) => {
    const members = Object.entries(properties).map(([name, each]) => [
      name,
      valueOf(each, depth + 1),
    ]);
    return fc.record(Object.fromEntries(members) as Record<string, fc.Arbitrary<unknown>>, {
      requiredKeys: required.filter((name) => name in properties),
    });
  },
};

interface Sent {
  readonly path: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

function requestOf({ parameters = [], requestBody }: Operation): fc.Arbitrary<Sent> {
  const of = (where: string) => {
    const own = parameters.filter((each) => each.in === where);
    const values = Object.fromEntries(own.map(({ name, schema }) => [name, valueOf(schema)]));
    return fc.record(values, where === "path" ? {} : { requiredKeys: [] });
  };
  const schema = requestBody?.content["application/json"]?.schema;
  return fc.record({
    path: of("path"),
    query: of("query"),
    body: schema === undefined ? fc.constant(undefined) : valueOf(schema),
  });
}

async function send(method: string, path: string, { path: given_, query, body }: Sent) {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_all, name: string) =>
    encodeURIComponent(shown(given_[name]) || "x"),
  );
  const search = new URLSearchParams(
    Object.entries(query).map(([name, value]): [string, string] => [name, shown(value)]),
  );
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(`${given.url}${filled}?${search.toString()}`, {
    method,
    headers: {
      authorization: `Bearer ${STATIC_TOKEN}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...json,
  });
  const type = response.headers.get("content-type") ?? "";
  return { status: response.status, type, text: await response.text() };
}

function shown(value: unknown): string {
  if (value === undefined) return "";
  return (typeof value === "string" ? value : JSON.stringify(value)).toWellFormed();
}

interface Received {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** What the description has not announced of an answer; 503 and 501 say that nothing is behind it here. */
function wrongIn({ responses }: Operation, { status, type, text }: Received): string | undefined {
  const announced = responses[String(status)];
  if (announced === undefined || (status >= 500 && status !== 503 && status !== 501))
    return "its status";
  const { content = {} } = announced;
  const types = Object.keys(content);
  const own = types.find((each) => type.startsWith(each));
  if (own === undefined) return types.length > 0 ? `its type ${type}` : undefined;
  const schema = content[own]?.schema;
  if (schema === undefined || !own.endsWith("json")) return undefined;
  const read = readerOf(schema).safeParse(JSON.parse(text));
  return read.success ? undefined : `its body: ${read.error.message}`;
}

const readers = new Map<object, z.ZodType>();

function readerOf(schema: object): z.ZodType {
  const known = readers.get(schema);
  if (known !== undefined) return known;
  const whole = { ...schema, $defs: document.components.schemas };
  const local = JSON.stringify(whole).replaceAll("#/components/schemas/", "#/$defs/");
  const reader = z.fromJSONSchema(JSON.parse(local) as Parameters<typeof z.fromJSONSchema>[0]);
  readers.set(schema, reader);
  return reader;
}

test("no request that can be made from our own description gets a 500, or an answer that it does not announce", async () => {
  const wrong: string[] = [];
  const done = new Set<string>();
  const operations = Object.entries(document.paths)
    .filter(([path]) => !LEFT_OUT.test(path))
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
    )
    .filter(({ operation }) => operation.responses["101"] === undefined); // a WebSocket
  for (const { path, method, operation } of operations) {
    for (const sent of fc.sample(requestOf(operation), { numRuns: RUNS, seed: 7 })) {
      const answer = await send(method.toUpperCase(), path, sent);
      if (answer.status < 300) done.add(`${method} ${path}`);
      const fault = wrongIn(operation, answer);
      if (fault !== undefined) {
        const what = `${method} ${path} ${JSON.stringify(sent).slice(0, 300)}`;
        wrong.push(`${what}: ${answer.status}: ${fault}`);
      }
    }
  }
  expect(wrong).toEqual([]);
  expect(done.size).toBeGreaterThan(25); // many are understood
}, 60_000);
