/** A series of the demo's shop: its labels, and its value at any minute. */
export interface DemoSeries {
  readonly query: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly valueAt: (time: Date) => number;
}

export interface Scenario {
  readonly series: readonly DemoSeries[];
  readonly incidentAt: Date;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/**
 * A shop with three metrics. At `incidentAt` the checkout's p99 latency rises from about 0.3 s to about 0.9 s and stays
 * there, as after a bad deployment; the others go on as every day.
 */
export function shopScenario(incidentAt: Date): Scenario {
  const incident = (time: Date) => (time >= incidentAt ? 0.6 : 0);
  return {
    incidentAt,
    series: [
      {
        query: "http_requests:latency_p99",
        labels: { namespace: "shop", app: "checkout" },
        valueAt: (time) => 0.3 + 0.03 * daily(time) + 0.02 * noise(time, 1) + incident(time),
      },
      {
        query: "http_requests:latency_p99",
        labels: { namespace: "shop", app: "catalog" },
        valueAt: (time) => 0.12 + 0.02 * daily(time) + 0.01 * noise(time, 2),
      },
      {
        query: "http_requests:success_rate",
        labels: { namespace: "shop", app: "checkout" },
        valueAt: (time) => Math.min(1, 0.995 + 0.002 * noise(time, 3)),
      },
    ],
  };
}

function daily(time: Date): number {
  return Math.sin((2 * Math.PI * (time.getTime() % DAY_MS)) / DAY_MS);
}

/** From -1 to 1, the same for the same minute: a query gives the same answer whenever it is asked. */
function noise(time: Date, salt: number): number {
  let state = Math.imul(Math.floor(time.getTime() / MINUTE_MS) ^ (salt * 0x9e3779b9), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return ((state ^ (state >>> 16)) >>> 0) / 2 ** 31 - 1;
}
