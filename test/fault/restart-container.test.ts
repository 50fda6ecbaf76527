import { expect, test } from "@jest/globals";
import { attemptDelivery, deliverUntilAccepted } from "../fakes/alertmanager-sender.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startHypervisor } from "../fakes/hypervisor.ts";
import { CANARIES } from "./canaries.ts";
import { brokenInvariants } from "./invariants.ts";
import { APP } from "./surroundings.ts";
import { givenWorld, type World } from "./world.ts";

async function deliver({ service }: World, status: "firing" | "resolved"): Promise<void> {
  const alert = {
    status,
    labels: {
      alertname: "AIOpsAnomalyDetected",
      metric: "latency_p99",
      reason: "level_shift",
      project: "shop",
      container: APP,
    },
    annotations: {},
    startsAt: "2026-11-21T03:00:00Z",
    endsAt: status === "firing" ? "0001-01-01T00:00:00Z" : "2026-11-21T03:10:00Z",
    fingerprint: "container-1",
  };
  const frame = { version: "4", receiver: "fettle", status, groupKey: "{}", alerts: [alert] };
  const headers = { authorization: `Bearer ${CANARIES.token}` };
  await deliverUntilAccepted(async () =>
    attemptDelivery(`${service.url}/alertmanager`, JSON.stringify(frame), headers),
  );
}

async function waitForState(world: World, state: string): Promise<void> {
  await waitUntil(`the run to be ${state}`, async () => (await world.runState()) === state);
}

test.concurrent.each([undefined, "before-cluster-call", "after-cluster-call", "after-intent"])(
  "a container is restarted once, approved by a person, also when the service is killed at %s",
  async (name) => {
    const hypervisor = await startHypervisor(CANARIES.clusterToken);
    hypervisor.containers.set(`shop/${APP}`, {
      id: "c-7",
      status: "running",
      started_at: "2026-11-20T10:00:00Z",
    });
    const world = await givenWorld(name, {
      RUNBOOK_AUTOFIX_POLICY: "latency_p99:level_shift=restart_container",
      RUNBOOK_HYPERVISOR_URL: hypervisor.url,
      RUNBOOK_HYPERVISOR_TOKEN: hypervisor.token,
    });
    try {
      await deliver(world, "firing");
      await waitForState(world, "approval_pending");
      expect(hypervisor.mutations()).toEqual([]);
      await world.approveOnPage();
      await waitForState(world, "verifying");
      await deliver(world, "resolved");
      await waitForState(world, "succeeded");

      expect(world.service.deaths).toHaveLength(name === undefined ? 0 : 1);
      const { rows } = await world.database.query<{ id: string }>("SELECT id FROM runs");
      expect(hypervisor.mutations()).toMatchObject([{ key: rows[0]?.id }]);
      expect(world.kubernetes.mutations()).toEqual([]);
      expect(await brokenInvariants(world)).toEqual([]);
    } finally {
      await world.stop();
      await hypervisor.stop();
    }
  },
  180_000,
);
