import { expect, test } from "@jest/globals";
import express from "express";
import type { TrustsProxy } from "../../../hypervisor/frame/client-address.ts";
import { capOf } from "../../../hypervisor/frame/connections.ts";
import { createRegistry } from "../../../lib/metrics.ts";

test("only proxies of ours may hold any number of connections; who is hung up on is counted", async () => {
  const app = express().set("trust proxy", ["10.0.0.0/8"]);
  const registry = createRegistry("hypervisor");
  const cap = capOf(app.get("trust proxy fn") as TrustsProxy, registry);

  expect(["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.1"].map(cap.exempt)).toEqual([true, true, false]);
  cap.refused?.("192.0.2.1");

  expect(await registry.metrics()).toMatch(/arm_hypervisor_connections_refused_total{[^}]*} 1\n/);
});

test("without proxies nobody's word about somebody else counts", () => {
  const app = express().set("trust proxy", []);
  const cap = capOf(app.get("trust proxy fn") as TrustsProxy, createRegistry("hypervisor"));

  expect(cap.exempt("10.1.2.3")).toBe(false);
});
