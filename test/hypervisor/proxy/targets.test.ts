import { expect, test } from "@jest/globals";
import { addressBelow } from "../../../hypervisor/proxy/address.ts";
import { proxyTargets } from "../../../hypervisor/proxy/targets.ts";
import type { Principal } from "../../../hypervisor/types.ts";

const access = { url: "http://127.0.0.1:1" };
const [grafana, prometheus] = proxyTargets(
  { grafana: access, prometheus: access, loki: undefined },
  { userHeader: "user", roleHeader: "role" },
);
const ANA: Principal = {
  name: "ana",
  via: "session",
  role: "Admin",
  permissions: ["*"],
  organization: undefined,
  projects: "all",
};

test("Grafana takes a token for somebody of its own, and not for its owner", () => {
  const permissions = ["dashboards:read"];
  const token: Principal = { ...ANA, via: "api-token", permissions, token: "tok_1" };

  expect(grafana?.identity(ANA)).toEqual({ user: "ana", role: "Admin" });
  // No user's name may have a plus.
  expect(grafana?.identity(token)).toEqual({ user: "ana+token", role: "Viewer" });
});

test.each([
  ["/prometheus/api/v1/query", "read"],
  ["/prometheus/debug/pprof/heap", "no"],
  ["/prometheus/%64ebug/pprof/heap", "no"],
  ["/prometheus//debug/pprof/heap", "no"],
  ["/prometheus/%2D/quit", "no"],
  ["/prometheus/api/v1/%61dmin/tsdb/snapshot", "no"],
])("%s is judged as Prometheus reads it: %s", (target, verdict) => {
  expect(prometheus?.judge("GET", addressBelow("/prometheus", target).meant)).toBe(verdict);
});
