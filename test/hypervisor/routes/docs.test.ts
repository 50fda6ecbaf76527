import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { givenHypervisor, type Hypervisor } from "../given.ts";
import { registeredRoutes } from "../registered.ts";

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor();
});
afterAll(async () => api.stop());

test("/openapi.json describes every route with its parameters, body, answers and permission", async () => {
  const { status, body } = await api.send("/openapi.json", { as: "" });
  const { openapi, paths } = body as {
    openapi: string;
    paths: Record<string, Record<string, object>>;
  };

  expect([status, openapi]).toEqual([200, "3.1.0"]);
  expect(paths["/api/v1/users/{username}"]?.["put"]).toMatchObject({
    summary: expect.stringMatching(/changes what is given/),
    description: "Needs user:update.",
    security: [{ bearer: [] }],
    parameters: [
      {
        in: "path",
        name: "username",
        required: true,
        schema: { $ref: "#/components/schemas/Username" },
      },
      { in: "query", name: "dryRun", schema: { enum: ["true", "false"] } },
    ],
    requestBody: { content: { "application/json": { schema: { additionalProperties: false } } } },
    responses: { "200": expect.anything(), "403": expect.anything(), "412": expect.anything() },
  });
  expect((await registeredRoutes(api.url)).length).toBeGreaterThan(30);
});

test("/docs shows it with nothing from elsewhere", async () => {
  const page = await fetch(`${api.url}/docs`);
  const text = await page.text();

  expect(page.headers.get("content-type")).toMatch(/^text\/html/);
  expect(page.headers.get("content-security-policy")).toMatch(
    /script-src 'self';.*connect-src 'self'/,
  );
  expect(text).not.toMatch(/https?:/);
  for (const [, file = ""] of text.matchAll(/(?:src|href)="([^"]+)"/g)) {
    const part = await fetch(`${api.url}${file}`);
    expect([file, part.status, (await part.text()).length > 50]).toEqual([file, 200, true]);
  }
});

test.each(["package.json", "..%2fpackage.json", "swagger-ui.css.map", "constructor"])(
  "/docs/%s is not there",
  async (file) => {
    expect((await fetch(`${api.url}/docs/${file}`)).status).toBe(404);
  },
);
