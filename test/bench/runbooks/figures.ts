import type { FettleProcess } from "../../fakes/fettle.ts";

/** A figure, its unit, and what it must not pass. */
export function row(name: string, value: number, unit = "", target = ""): void {
  const text = value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1);
  const shown = text.toLocaleString("en").padStart(10);
  process.stdout.write(`${name.padEnd(62)} ${shown} ${unit.padEnd(9)} ${target}\n`);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** A gauge of the service; that of the event loop begins anew each time it is read. */
export async function metricOf({ url }: FettleProcess, name: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(metrics)?.[1]);
}
