import { Counter, type Registry } from "prom-client";
import type { ThrottleLimit } from "./throttle.ts";

type LoginResult = "success" | "refused" | "throttled";

/** Counts who signs in, and who is kept from guessing. No names: they are strangers' words. */
export interface LoginMetrics {
  readonly login: (result: LoginResult) => void;
  readonly throttled: (limit: ThrottleLimit) => void;
  readonly refreshReused: () => void;
}

export function createLoginMetrics(registry: Registry): LoginMetrics {
  const registers = [registry];
  const logins = new Counter({
    name: "arm_hypervisor_logins_total",
    help: "Logins with a password, by result",
    labelNames: ["result"],
    registers,
  });
  const throttled = new Counter({
    name: "arm_hypervisor_login_throttled_total",
    help: "Passwords that were not looked at, by the limit that was passed: pair (account and address), account, address",
    labelNames: ["limit"],
    registers,
  });
  const reused = new Counter({
    name: "arm_hypervisor_refresh_reused_total",
    help: "Refresh tokens that came back; the first ends its session",
    registers,
  });
  for (const result of ["success", "refused", "throttled"]) logins.inc({ result }, 0);
  for (const limit of ["pair", "account", "address"]) throttled.inc({ limit }, 0);
  return {
    login: (result) => {
      logins.inc({ result });
    },
    throttled: (limit) => {
      throttled.inc({ limit });
    },
    refreshReused: () => {
      reused.inc();
    },
  };
}
