import { readFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ConfigError } from "../../../lib/config.ts";
import { silentLog } from "../../../lib/log.ts";
import { prometheusAlerts } from "../../../runbooks/adapters/alert-history/prometheus.ts";
import { prometheusSource } from "../../../runbooks/adapters/prometheus.ts";
import { readRunbooksConfig } from "../../../runbooks/config.ts";
import { metricAccess } from "../../../runbooks/config/verify.ts";
import { makeCertificates, type Certificates } from "../../detector/given-certificates.ts";

const VECTOR =
  '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[60,"1"]}]}}';
const MATRIX = '{"status":"success","data":{"resultType":"matrix","result":[]}}';

let certificates: Certificates;
let server: Server;
let env: Record<string, string>;
const seen: { readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];

/** A Prometheus behind TLS that takes only clients of its authority. */
beforeAll(async () => {
  certificates = await makeCertificates();
  server = createServer(
    {
      cert: readFileSync(certificates.server.cert),
      key: readFileSync(certificates.server.key),
      ca: readFileSync(certificates.authority),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      void text(request).then((body) => {
        seen.push({ headers: request.headers, body });
        response.end(request.url?.endsWith("query_range") === true ? MATRIX : VECTOR);
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  env = {
    AIOPS_DATABASE_URL: "postgres://db/fettle",
    RUNBOOK_WEBHOOK_TOKEN: "awh_0123456789abcdef",
    PROM_URL: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    PROM_USERNAME: "fettle",
    PROM_PASSWORD: "canary-password",
    PROM_TENANT: "shop",
    PROM_CA_FILE: certificates.authority,
    PROM_CERT_FILE: certificates.client.cert,
    PROM_KEY_FILE: certificates.client.key,
  };
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await certificates.remove();
});

function access(change: Record<string, string> = {}) {
  const found = metricAccess(readRunbooksConfig({ ...env, ...change }));
  if (found === undefined) throw new Error("PROM_URL is set");
  return found;
}

test("a verification asks as the user, with the client certificate, for the tenant", async () => {
  expect(await prometheusSource(access(), silentLog).query("up")).toEqual([
    { labels: { a: "b" }, value: 1 },
  ]);

  expect(seen.at(-1)).toMatchObject({
    body: "query=up",
    headers: {
      authorization: `Basic ${Buffer.from("fettle:canary-password").toString("base64")}`,
      "content-type": "application/x-www-form-urlencoded",
      "x-scope-orgid": "shop",
    },
  });
});

test("a backtest's history is asked in the same way", async () => {
  const history = prometheusAlerts({ access: access(), stepSeconds: 60 });
  for await (const portion of history.read({ from: 0, to: 60_000 })) expect(portion).toEqual([]);

  expect(seen.at(-1)).toMatchObject({
    body: expect.stringContaining("ALERTS"),
    headers: { "x-scope-orgid": "shop", authorization: expect.stringMatching(/^Basic /) },
  });
});

test("without the authority's certificate nobody is asked, and no credential is sent", async () => {
  const before = seen.length;
  const trusting = { PROM_CA_FILE: "", PROM_CERT_FILE: "", PROM_KEY_FILE: "" };

  await expect(prometheusSource(access(trusting), silentLog).query("up")).rejects.toThrow();
  expect(seen).toHaveLength(before);
});

test("what cannot go together is told by the variables' names, without a secret", () => {
  const read = () =>
    readRunbooksConfig({
      ...env,
      PROM_TOKEN: "canary-token",
      PROM_KEY_FILE: "",
      PROM_TENANT: "a b",
    });

  expect(read).toThrow(ConfigError);
  expect(read).toThrow(/PROM_USERNAME: cannot be set together with PROM_TOKEN/);
  expect(read).toThrow(/PROM_KEY_FILE: is required when PROM_CERT_FILE is set/);
  expect(read).toThrow(/PROM_TENANT: must match/);
  expect(read).not.toThrow(/canary/);
});
