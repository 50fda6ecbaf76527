import { Counter, Gauge, type Registry } from "prom-client";
import type { Receipt } from "./store.ts";

export interface RunbooksMetrics {
  readonly received: (receipt: Receipt) => void;
  readonly inboxWaiting: (deliveries: number) => void;
  readonly runMoved: (state: string) => void;
  readonly connectionRefused: () => void;
}

export function createRunbooksMetrics(registry: Registry): RunbooksMetrics {
  const registers = [registry];
  const alerts = new Counter({
    name: "runbooks_alerts_received_total",
    help: "Alerts stored, and alerts of deliveries that had come before",
    labelNames: ["kind"],
    registers,
  });
  const waiting = new Gauge({
    name: "runbooks_inbox_waiting",
    help: "Deliveries stored and not yet looked at",
    registers,
  });
  const moved = new Counter({
    name: "runbooks_run_states_total",
    help: "Runs that came into a state",
    labelNames: ["state"],
    registers,
  });
  const refused = new Counter({
    name: "runbooks_connections_refused_total",
    help: "Connections that were closed because their address held too many already",
    registers,
  });
  return {
    received: ({ accepted, duplicate }) => {
      alerts.inc({ kind: "accepted" }, accepted);
      alerts.inc({ kind: "duplicate" }, duplicate);
    },
    inboxWaiting: (deliveries) => {
      waiting.set(deliveries);
    },
    runMoved: (state) => {
      moved.inc({ state });
    },
    connectionRefused: () => {
      refused.inc();
    },
  };
}
