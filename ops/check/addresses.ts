import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { envSections } from "../../cli/env-example.ts";

/** Files of docker-compose.yml's services in which addresses stand. */
const FILES = [
  "docker-compose.yml",
  "ops/alertmanager/alertmanager.yml",
  "ops/alloy/config.alloy",
  "ops/grafana/provisioning/datasources/fettle.yml",
  "ops/loki/loki.yml",
  "ops/otel/collector.yml",
  "ops/prometheus/prometheus.yml",
];
/** Where other people's programs listen when nobody says otherwise. */
const USUAL: Readonly<Record<string, readonly number[]>> = {
  alertmanager: [9093],
  db: [5432],
  "demo-source": [9470],
  grafana: [3000],
  prometheus: [9090],
  redis: [6379],
  "redis-exporter": [9121],
  sftp: [22],
};
const HERE = ["127.0.0.1", "0.0.0.0", "localhost"];

/** Each address in a configuration is that of a service of docker-compose.yml, at a port where it listens. */
export async function checkAddresses(): Promise<readonly string[]> {
  const { services } = parse(await readFile("docker-compose.yml", "utf8"), { merge: true }) as {
    services: object;
  };
  const served = await listening();
  const found = await Promise.all(
    FILES.map(async (path) =>
      addressesIn(withoutComments(await readFile(path, "utf8")))
        .filter(({ host }) => !HERE.includes(host))
        .flatMap(({ host, port }) => {
          if (!(host in services)) return [`${path}: there is no service ${host}`];
          return served.get(host)?.includes(port) === true
            ? []
            : [`${path}: ${host} does not listen on ${port}`];
        }),
    ),
  );
  return found.flat();
}

interface Address {
  readonly host: string;
  readonly port: number;
}

function addressesIn(text: string): readonly Address[] {
  const plain =
    /(?<![\w.-])([a-z][a-z0-9.-]*[a-z0-9]|127\.0\.0\.1|0\.0\.0\.0):(\d{2,5})(?![\w.:-])/g;
  const named = /names: \[([a-z-]+)\][^}]*port: (\d+)/g; // found by name, asked at a port
  return [...text.matchAll(plain), ...text.matchAll(named)].map(([, host = "", port]) => ({
    host,
    port: Number(port),
  }));
}

/** An image's version looks like a port. */
function withoutComments(text: string): string {
  return text.replaceAll(/(^|\s)(#|\/\/ ).*$/gm, "").replaceAll(/^\s*image:.*$/gm, "");
}

/** By service, from its own configuration where it has one. */
async function listening(): Promise<ReadonlyMap<string, readonly number[]>> {
  const own = (await envSections()).map(({ title, shape }) => {
    const [service = ""] = title.split(":");
    const port = Object.values(shape).find(({ name }) => name === `${service.toUpperCase()}_PORT`);
    return [service, [Number(port?.fallback)]] as const;
  });
  const configured = await Promise.all(
    (
      [
        ["loki", "ops/loki/loki.yml"],
        ["tempo", "ops/tempo/tempo.yml"],
        ["otel-collector", "ops/otel/collector.yml"],
      ] as const
    ).map(async ([service, path]) => [service, listeners(await readFile(path, "utf8"))] as const),
  );
  return new Map([...Object.entries(USUAL), ...own, ...configured]);
}

function listeners(text: string): readonly number[] {
  return [...text.matchAll(/(?:0\.0\.0\.0:|http_listen_port: |\bport: )(\d+)/g)].map(([, port]) =>
    Number(port),
  );
}
