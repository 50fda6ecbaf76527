import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface MetricsTarget {
  /** host:port, for a scrape configuration. */
  readonly target: string;
  /** The level around which the gauge moves from now on. */
  readonly setLevel: (level: number) => void;
  readonly stop: () => Promise<void>;
}

/** An application that exposes one noisy gauge, `shop_latency_seconds`. The noise is the same in every run. */
export async function startMetricsTarget(level: number): Promise<MetricsTarget> {
  let current = level;
  let scrapes = 0;
  const server = createServer((_request, response) => {
    scrapes += 1;
    const noise = 0.02 * noiseAt(scrapes);
    response.setHeader("content-type", "text/plain; version=0.0.4");
    response.end(
      `# TYPE shop_latency_seconds gauge\nshop_latency_seconds{namespace="shop",app="checkout"} ${current * (1 + noise)}\n`,
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    target: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    setLevel: (next) => {
      current = next;
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** From -1 to 1, without a pattern, the same for the same number. */
export function noiseAt(index: number): number {
  let state = Math.imul(index ^ 0x9e3779b9, 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return ((state ^ (state >>> 16)) >>> 0) / 2 ** 31 - 1;
}
