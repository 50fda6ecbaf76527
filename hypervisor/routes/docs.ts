import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { z } from "zod";
import { describeApi } from "../frame/openapi.ts";
import type { Router } from "../frame/router.ts";
import { HttpProblem } from "../../lib/problem.ts";

const INITIALIZER = `window.onload = () => {
  window.ui = SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", validatorUrl: null });
};
`;
const PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Fettle hypervisor API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/initializer.js"></script></body>
</html>
`;

/** Swagger UI asks this service, and only it, and sets styles by attributes. */
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const ASSETS: Readonly<Record<string, "text/css" | "text/javascript">> = {
  "swagger-ui.css": "text/css",
  "swagger-ui-bundle.js": "text/javascript",
};

/** `/openapi.json` and `/docs`: open to everybody, as what they say is in the documentation. Call it after all nouns. */
export function addDocsRoutes(router: Router): void {
  let description: object | undefined;
  const define = { method: "get", permission: "public" } as const;
  router.route(
    {
      ...define,
      path: "/openapi.json",
      summary: "this API, as OpenAPI 3.1",
      answers: { 200: z.looseObject({ openapi: z.string() }) },
    },
    async () => {
      description ??= describeApi(router.routes, router.sockets.list);
      return { status: 200, body: description as { openapi: string } };
    },
  );
  router.route(
    {
      ...define,
      path: "/docs",
      summary: "this API, to read",
      answers: { 200: { media: "text/html" } },
    },
    async () => ({ status: 200, body: PAGE, headers: { "content-security-policy": CSP } }),
  );
  router.route(
    {
      ...define,
      path: "/docs/:file",
      summary: "parts of /docs",
      params: z.strictObject({ file: z.string().max(64) }),
      answers: { 200: { media: "text/javascript" } },
    },
    async ({ params }) => assetOf(params.file),
  );
}

async function assetOf(file: string) {
  if (file === "initializer.js") return { status: 200, body: INITIALIZER } as const;
  const type = Object.hasOwn(ASSETS, file) ? ASSETS[file] : undefined;
  if (type === undefined) throw new HttpProblem(404, "Not found");
  const headers = { "content-type": type, "cache-control": "public, max-age=86400" };
  return { status: 200, body: readFileSync(join(assetsFolder(), file)), headers } as const;
}

function assetsFolder(): string {
  const require = createRequire(import.meta.url);
  return join(require.resolve("swagger-ui-dist/package.json"), "..");
}
