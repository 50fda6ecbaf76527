import type { Browser, BrowserContext, Page } from "playwright-core";
import { API_TOKEN } from "../runbooks/pages/given-pages.ts";

export interface Visitor {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What must not happen: requests to elsewhere, complaints of the browser, dialogs. */
  readonly problems: readonly string[];
}

/** A browser that has signed in by the form. */
export async function visitor(
  { url, browser }: { readonly url: string; readonly browser: Browser },
  options: Parameters<Browser["newContext"]>[0] = {},
  { signedIn = true } = {},
): Promise<Visitor> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) problems.push(`request to ${request.url()}`);
  });
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("status of 4"))
      problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("dialog", (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => undefined);
  });
  if (signedIn) await signIn(page, url);
  return { context, page, problems };
}

async function signIn(page: Page, url: string): Promise<void> {
  await page.goto(`${url}/sign-in`);
  await page.getByLabel("Token").fill(API_TOKEN);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${url}/`);
}
