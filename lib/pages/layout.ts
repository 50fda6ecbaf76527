import { html, type Html } from "./html.ts";

export interface PageOptions {
  readonly wide?: boolean;
  /** What stands above the title on every page of a service: its navigation. */
  readonly banner?: Html;
  /** Address of a script file: it improves a page that works without it. */
  readonly script?: string;
  /** Where there is no script, the browser loads the page again after so many seconds. */
  readonly refreshSeconds?: number | undefined;
}

/** The frame of every page. Works without JavaScript; styles come from a file, as the CSP forbids them inline. */
export function page(title: string, content: Html, options: PageOptions = {}): string {
  const { wide = false, banner = html``, script, refreshSeconds } = options;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} – Fettle</title>
        <link rel="stylesheet" href="/assets/fettle.css" />
        ${script === undefined ? html`` : html`<script src="${script}" defer></script>`}
        ${
          refreshSeconds === undefined
            ? html``
            : html`<noscript
                ><meta http-equiv="refresh" content="${String(refreshSeconds)}"
              /></noscript>`
        }
      </head>
      <body>
        ${banner}
        <main id="main" class="${wide ? "wide" : "narrow"}">
          <h1>${title}</h1>
          ${content}
        </main>
      </body>
    </html>`.text;
}

/** Plain, readable at 3 a.m. on a phone, in light and dark; colour is never the only sign. */
export const STYLESHEET = `:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; background: Canvas; color: CanvasText; overflow-wrap: anywhere; }
a { color: LinkText; }
main { max-width: 42rem; margin: 0 auto; padding: 1rem; }
main.wide { max-width: 64rem; }
h1 { font-size: 1.4rem; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
label { display: block; margin: 1rem 0 .25rem; }
input[type="text"], input[type="password"], textarea { width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; }
select { font: inherit; padding: .4rem; }
fieldset { border: 1px solid #8886; margin: 1rem 0 0; }
form.filter { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: end; }
button { font: inherit; padding: .6rem 1.2rem; margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; font-weight: 600; padding: .25rem 0; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8886; vertical-align: top; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; max-height: 24rem; }
code { overflow-wrap: anywhere; }
svg.chart { display: block; width: 100%; height: auto; }
svg.spark { width: 12rem; height: 2rem; }
svg .line { fill: none; stroke: currentColor; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
svg .band { fill: currentColor; opacity: .12; }
svg .limit { stroke: currentColor; stroke-dasharray: 6 4; vector-effect: non-scaling-stroke; }
svg .moment { stroke: currentColor; stroke-dasharray: 2 3; vector-effect: non-scaling-stroke; }
svg text { fill: currentColor; font-size: 12px; }
header.site { max-width: 64rem; margin: 0 auto; padding: .5rem 1rem 0; }
header.site nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: 0; padding: 0; }
header.site nav a { display: inline-block; padding: .35rem 0; }
header.site nav a[aria-current] { font-weight: 700; text-decoration: none; border-bottom: 3px solid; }
a.skip { position: absolute; left: -100vw; }
a.skip:focus { left: 1rem; top: .5rem; background: Canvas; padding: .5rem; }
.pages a { display: inline-block; padding: .35rem 1rem .35rem 0; }
.notice { border: 2px solid; padding: .5rem 1rem; margin: 1rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .5rem; }
.tiles div { border: 1px solid #8886; padding: .5rem .75rem; }
.tiles dt { font-weight: 400; }
.tiles dd { font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.scroll.list { max-height: none; margin: 0 0 1rem; }
.list th[scope="col"] { overflow-wrap: normal; }
.list th[scope="row"], .list td.text { min-width: 6rem; }
.list time { white-space: nowrap; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
.badge { border: 2px solid; padding: 0 .4rem; font-weight: 600; }
:focus-visible { outline: 3px solid; outline-offset: 2px; }
@media (min-width: 48rem) { td.number, th.number { overflow-wrap: normal; } }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } }
`;
