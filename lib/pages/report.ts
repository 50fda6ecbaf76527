import { html, Html } from "./html.ts";
import { STYLESHEET } from "./layout.ts";

/** A page that stands alone: a file needs its styles inside, and has no script. */
export function reportPage(title: string, body: readonly Html[]): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} – Fettle</title>
        <style>
          ${new Html(STYLESHEET)}
        </style>
      </head>
      <body>
        <main class="wide">
          <h1>${title}</h1>
          ${body}
        </main>
      </body>
    </html>`.text;
}
