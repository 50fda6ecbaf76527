import { Counter, Gauge, type Registry } from "prom-client";

export interface NotifyMetrics {
  readonly delivered: (channel: string, result: string) => void;
  readonly oldest: (seconds: ReadonlyMap<string, number>) => void;
}

export function createNotifyMetrics(registry: Registry): NotifyMetrics {
  const registers = [registry];
  const letters = new Counter({
    name: "runbooks_outbox_letters_total",
    help: "What became of letters to channels; failed ones are tried again",
    labelNames: ["channel", "result"],
    registers,
  });
  const age = new Gauge({
    name: "runbooks_outbox_oldest_age_seconds",
    help: "How long the oldest letter that was not delivered has waited",
    labelNames: ["channel"],
    registers,
  });
  return {
    delivered: (channel, result) => {
      letters.inc({ channel, result });
    },
    oldest: (seconds) => {
      age.reset();
      for (const [channel, waited] of seconds) age.set({ channel }, waited);
    },
  };
}
