import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Browser } from "playwright-core";
import { visitor } from "../e2e/visitor.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { HOSTILE_TEXTS } from "../fixtures/hostile-texts.ts";
import { frame, givenService, post, type GivenService } from "../runbooks/given-service.ts";
import { PAGES_ENV } from "../runbooks/pages/given-pages.ts";
import { startChromium } from "../servers/chromium.ts";

let service: GivenService;
let browser: Browser;

beforeAll(async () => {
  service = await givenService({
    ...PAGES_ENV,
    RUNBOOK_AUTOFIX_POLICY: "latency_p99=rollout_restart",
  });
  browser = await startChromium();
});
afterAll(async () => {
  await browser.close();
  await service.stop();
});

test("texts that anybody may send are shown as the texts that they are, on every page", async () => {
  const runs = await givenHostileRuns();
  const { context, page, problems } = await visitor({ url: service.url, browser });
  const paths = [
    ...["/", "/runs?limit=200", "/approvals", "/audit?limit=200", "/breakers", "/policy"],
    ...runs.flatMap(({ id, approval }) => [
      `/runs/${id}`,
      ...(approval === null ? [] : [`/approvals/${approval}`]),
    ]),
    ...HOSTILE_TEXTS.map(
      (text) => `/runs?${new URLSearchParams({ q: text.toWellFormed().slice(0, 80) }).toString()}`,
    ),
  ];
  for (const path of paths) {
    await page.goto(`${service.url}${path}`);
    const found: unknown = await page.evaluate(`[
      ...[...document.querySelectorAll("*")].flatMap((element) =>
        [...element.attributes].filter(({ name }) => name.startsWith("on")).map(({ name }) => name)),
      ...[...document.querySelectorAll("img, iframe, object, base, style, script:not([src='/assets/pages.js'])")]
        .map((element) => element.outerHTML),
      ...[...document.querySelectorAll("a")].map((a) => a.getAttribute("href")).filter((href) => !/^[/#]/.test(href)),
      ...[...document.querySelectorAll("form")].map((form) => form.getAttribute("action")).filter((to) => !/^[/]/.test(to)),
      ...(document.body.innerText.match(/[\\u202a-\\u202e\\u2066-\\u2069]/g) ?? []),
    ]`);
    expect([path, found]).toEqual([path, []]);
  }
  expect(problems).toEqual([]);
  await context.close();
}, 240_000);

/** Every hostile text in an alert, in a person's name and reason, and in the record. */
async function givenHostileRuns() {
  for (const [at, text] of HOSTILE_TEXTS.entries()) {
    const annotations = {
      summary: text,
      sparkline: text,
      zscore: text,
      current: text,
      baseline: text,
    };
    const labels = { reason: text, severity: text, team: text };
    const app = `app-${(at % 3) + 15}`; // some are asked about, the others rest
    const deployment = at % 2 === 0 ? app : `hostile-${at}`;
    await post(service, frame({ app, labels: { ...labels, deployment }, annotations }));
  }
  const texts = HOSTILE_TEXTS.map((text) => text.replaceAll("\0", "").toWellFormed());
  await service.database.query(
    `INSERT INTO runbooks_audit (event, actor, namespace, app, target, detail)
     SELECT left(t, 60), t, t, t, t, jsonb_build_object('why', t, t, t) FROM unnest($1::text[]) AS t`,
    [texts],
  );
  await service.database.query(
    `INSERT INTO breakers (app_key, state, reason, opened_by, opened_at)
     SELECT left('app:default/shop/' || t, 1000), 'open', t, t, now() FROM unnest($1::text[]) AS t ON CONFLICT DO NOTHING`,
    [texts],
  );
  await service.database.query(
    `INSERT INTO kill_switches (scope, by_whom, reason)
     SELECT 'other/' || left(t, 500), t, t FROM unnest($1::text[]) AS t ON CONFLICT DO NOTHING`,
    [texts],
  );
  const find = async () =>
    (
      await service.database.query<{ id: string; approval: string | null; state: string }>(
        `SELECT r.id, r.state, (SELECT a.id FROM approvals a WHERE a.run_id = r.id LIMIT 1) AS approval
           FROM runs r WHERE target_key LIKE '%/hostile-%' OR app IN ('app-15', 'app-16', 'app-17')`,
      )
    ).rows;
  await waitUntil("the hostile runs", async () => {
    const runs = await find();
    const settled = runs.filter(({ state }) => !/^(matched|collect)/.test(state));
    return runs.length >= 10 && settled.length === runs.length;
  });
  return find();
}
