import { expect, test } from "@jest/globals";
import { readHypervisorConfig } from "../../hypervisor/main.ts";
import { recordingsFolder } from "../../hypervisor/open-recordings.ts";
import { observingAccess } from "../../hypervisor/config-observing.ts";

const DATABASE = { AIOPS_DATABASE_URL: "postgres://fettle@127.0.0.1/fettle" };

test.each([
  [{ LOKI_URL: "loki:3100" }, "LOKI_URL: must be an http:// or https:// address"],
  [{ LOKI_URL: "http://loki", LOKI_USERNAME: "a" }, "LOKI_PASSWORD: is required"],
  [{ LOKI_URL: "http://loki", LOKI_TOKEN: "a b" }, "LOKI_TOKEN: must be printable"],
  [{ LOKI_URL: "http://loki", LOKI_CA_FILE: "/ca.pem" }, "LOKI_CA_FILE: needs an https://"],
  [{ LOKI_SERVICE_LABEL: 'app"' }, "LOKI_SERVICE_LABEL: must be a label's name"],
  [{ GRAFANA_URL: "http://grafana", GRAFANA_CA_FILE: "/ca.pem" }, "GRAFANA_CA_FILE: needs an"],
  [{ GRAFANA_USER_HEADER: "X User" }, "GRAFANA_USER_HEADER: must be a header's name"],
  [{ PROM_URL: "http://prom", PROM_USERNAME: "a" }, "PROM_PASSWORD: is required"],
  [
    { HYPERVISOR_WORKFLOW_METRICS: "(" },
    "HYPERVISOR_WORKFLOW_METRICS: must be a regular expression",
  ],
  [{ HYPERVISOR_TERMINAL_IDLE_SECONDS: "1" }, "HYPERVISOR_TERMINAL_IDLE_SECONDS: "],
])("%j is refused, and the message names the variable", (env, message) => {
  expect(() => readHypervisorConfig({ ...DATABASE, ...env })).toThrow(message);
});

test("what has no address is not asked", () => {
  const access = observingAccess(
    readHypervisorConfig({ ...DATABASE, LOKI_URL: "http://loki:3100/" }),
  );
  expect(access).toEqual({
    prometheus: undefined,
    loki: expect.objectContaining({ url: "http://loki:3100" }),
    grafana: undefined,
  });
});

test.each([
  [{}, "/var/lib/fettle/recordings"],
  [{ HYPERVISOR_DATA_PATH: "/srv/data" }, "/srv/data/recordings"],
  [{ HYPERVISOR_RECORDINGS_DIR: "/srv/tapes" }, "/srv/tapes"],
  [{ HYPERVISOR_RECORDINGS: "off" }, undefined],
  [{ HYPERVISOR_RECORDINGS: "off", HYPERVISOR_RECORDINGS_DIR: "/srv/tapes" }, undefined],
])("with %j terminals are recorded in %s", (env, folder) => {
  expect(recordingsFolder(readHypervisorConfig({ ...DATABASE, ...env }))).toBe(folder);
});
