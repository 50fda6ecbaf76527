import type { Express, Response } from "express";
import { STYLESHEET } from "../../lib/pages/layout.ts";
import { SCRIPT } from "../pages/script.ts";

/** Long enough for a night of looking, short enough for an upgrade. */
const CACHE = "public, max-age=3600";

/** What the pages load. */
export function addAssetRoutes(app: Express): void {
  const send = (response: Response, type: string, text: string) => {
    response.set("Cache-Control", CACHE).type(type).send(text);
  };
  app.get("/assets/fettle.css", (_request, response) => {
    send(response, "css", STYLESHEET);
  });
  app.get("/assets/pages.js", (_request, response) => {
    send(response, "js", SCRIPT);
  });
}
