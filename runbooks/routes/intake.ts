import type { Express, Request, Response } from "express";
import { createReceiver, type ReceiveDeps } from "../receive.ts";
import type { Receipt } from "../store.ts";

export interface IntakeRouteDeps extends ReceiveDeps {
  readonly metrics: { readonly received: (receipt: Receipt) => void };
}

/** The webhook of Alertmanager, Grafana and the detector, under its two names. */
export function addIntakeRoutes(app: Express, deps: IntakeRouteDeps): void {
  const receive = createReceiver(deps);
  const webhook = async (request: Request, response: Response) => {
    const receipt = await receive(request);
    deps.metrics.received(receipt);
    response.status(202).json(receipt);
  };
  for (const path of ["/alertmanager", "/alerts"]) app.post(path, webhook).put(path, webhook);
}
