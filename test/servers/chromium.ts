import { chromium, type Browser } from "playwright-core";
import { programPath } from "./unprivileged.ts";

/** Debian's Chromium without a window. Without these flags it looks for Google's hosts at every start. */
export async function startChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: programPath("CHROMIUM"),
    args: [
      "--no-sandbox", // it refuses to run as root otherwise
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
    ],
  });
}
