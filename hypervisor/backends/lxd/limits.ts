import type { Resources } from "../types.ts";

/** LXD's limits are text in its configuration. */
export type LxdConfig = Readonly<Record<string, string>>;

const PERIOD_MS = 100;
const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  kB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  TB: 1000 ** 4,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** The limits that stand in an instance's configuration, its profiles included. What is no number of CPUs or bytes counts as none. */
export function limitsOf(config: LxdConfig): Resources {
  return {
    cpus: allowanceOf(config["limits.cpu.allowance"]) ?? cpusOf(config["limits.cpu"]),
    memoryBytes: bytesOf(config["limits.memory"]),
  };
}

/** As LXD's configuration keys; only those that were given. */
export function limitsConfig({ cpus, memoryBytes }: Resources): LxdConfig {
  return {
    ...(cpus === undefined ? {} : cpuConfig(cpus)),
    ...(memoryBytes === undefined ? {} : { "limits.memory": `${memoryBytes}B` }),
  };
}

/** Whole CPUs are pinned; a fraction is a share of time on as many CPUs as it needs. */
function cpuConfig(cpus: number): LxdConfig {
  const share = Number.isInteger(cpus) ? "" : `${Math.round(cpus * PERIOD_MS)}ms/${PERIOD_MS}ms`;
  return { "limits.cpu": `${Math.ceil(cpus)}`, "limits.cpu.allowance": share };
}

/** "50ms/100ms". A percentage is a weight under load, no limit. */
function allowanceOf(text = ""): number | undefined {
  const [, used, period] = /^(\d+)ms\/(\d+)ms$/.exec(text) ?? [];
  return used === undefined || Number(period) === 0 ? undefined : Number(used) / Number(period);
}

/** "2", or the CPUs themselves: "0-2,5". */
function cpusOf(text = ""): number | undefined {
  if (/^\d+$/.test(text)) return Number(text);
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) return undefined;
  return text
    .split(",")
    .map((range) => range.split("-").map(Number))
    .reduce((sum, [first = 0, last = first]) => sum + last - first + 1, 0);
}

/** "64MiB", "1GB", "4096". A percentage of the host's memory is not told. */
export function bytesOf(text = ""): number | undefined {
  const [, digits, unit = ""] = /^(\d+)\s*([A-Za-z]*)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}
