// make bench T=hypervisor
// What the API bears: the service in a process of its own, on a PostgreSQL of its own, with 50 pretended containers and 1,000,000 audit rows.
import { randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { silentLog } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { startFettle } from "../fakes/fettle.ts";
import { createTestDatabase } from "../servers/postgres.ts";
import { percentile, row } from "./runbooks/figures.ts";

const TOKEN = randomBytes(32).toString("hex");
const ROWS = 1_000_000;
const CONTAINERS = 50;
const SECONDS = 5;
const AT_ONCE = 16;

const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });

async function send(url: string, method = "GET", body?: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    request(url, { agent, method, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => {
        const text = Buffer.concat(parts).toString("utf8");
        if ((response.statusCode ?? 0) < 300) resolve(text);
        else reject(new Error(`${method} ${url}: ${response.statusCode} ${text.slice(0, 200)}`));
      });
    })
      .on("error", reject)
      .end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function measure(name: string, next: () => string, atOnce = AT_ONCE): Promise<void> {
  for (let i = 0; i < 20; i += 1) await send(next());
  const times: number[] = [];
  const end = performance.now() + SECONDS * 1000;
  const one = async (): Promise<void> => {
    while (performance.now() < end) {
      const start = performance.now();
      await send(next());
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  row(`${name}, ${atOnce} at once`, times.length / SECONDS, "/s");
  row("… median", percentile(times, 0.5), "ms");
  row("… 99th percentile", percentile(times, 0.99), "ms");
}

async function fill(database: Database): Promise<void> {
  const batch = ROWS / 10;
  for (let from = 0; from < ROWS; from += batch)
    await database.query(
      `INSERT INTO runbooks_audit (event, actor, target, detail)
       SELECT (array['ContainerStarted','ContainerStopped','UserUpdated'])[1 + i % 3], 'user-' || i % 100,
              'hypervisor//' || (array['container','container','user'])[1 + i % 3] || '/x-' || i % 5000,
              jsonb_build_object('resource_type', 'container', 'resource_id', 'x', 'result', 'Success',
                                 'summary', 'Started a container', 'ip', '10.0.0.1')
         FROM generate_series($1::int, $2::int) AS i`,
      [from, from + batch - 1],
    );
  await database.query("VACUUM ANALYZE runbooks_audit");
}

const own = await createTestDatabase();
const database = openDatabase(
  { url: own.url, applicationName: "bench", statementTimeoutMs: 300_000 },
  silentLog,
);
await fill(database);
const service = await startFettle("hypervisor", "HYPERVISOR_PORT", {
  AIOPS_DATABASE_URL: own.url,
  HYPERVISOR_API_TOKEN: TOKEN,
  HYPERVISOR_BACKEND: "memory",
  HYPERVISOR_REQUESTS_PER_MINUTE: "1000000",
});
const { url } = service;
try {
  const containers = Array.from({ length: CONTAINERS }, (_, i) => ({
    name: `c-${i}`,
    image: "busybox",
  }));
  for (const body of containers) await send(`${url}/api/v1/containers`, "POST", body);
  const any = (count: number) => Math.floor(Math.random() * count);
  await measure(`GET /api/v1/containers (${CONTAINERS})`, () => `${url}/api/v1/containers`);
  await measure("GET /health", () => `${url}/health`);
  await measure("GET /metrics", () => `${url}/metrics`, 4);
  const audit = `${url}/api/v1/audit/logs?limit=100`;
  await measure("audit, newest page", () => audit, 4);
  await measure("audit, any page", () => `${audit}&before=${1_000 + any(ROWS - 1_000)}`, 4);
  await measure(
    "audit, any page of one user",
    () => `${audit}&user=user-${any(100)}&before=${50_000 + any(ROWS - 50_000)}`,
    4,
  );
  await measure(
    "audit, any page of one type",
    () => `${audit}&resource_type=user&before=${50_000 + any(ROWS - 50_000)}`,
    4,
  );
} finally {
  agent.destroy();
  await service.stop();
  await database.close();
  await own.drop();
}
