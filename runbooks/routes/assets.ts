import type { Express } from "express";
import { STYLESHEET } from "../../lib/pages/layout.ts";

/** What the pages load. */
export function addAssetRoutes(app: Express): void {
  app.get("/assets/fettle.css", (_request, response) => {
    response.type("css").send(STYLESHEET);
  });
}
