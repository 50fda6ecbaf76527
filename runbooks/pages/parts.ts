import { html, type Html } from "../../lib/pages/html.ts";
import { page, type PageOptions } from "../../lib/pages/layout.ts";
import { cut, LABEL_MAX } from "../notify/limits.ts";

/** Loaded by every page; each of them works without it. */
const SCRIPT = "/assets/pages.js";

const PLACES = [
  ["/", "Overview"],
  ["/runs", "Runs"],
  ["/approvals", "Approvals"],
  ["/audit", "Audit"],
  ["/breakers", "Breakers"],
  ["/policy", "Policy"],
  ["/backtests", "Backtests"],
] as const;

export type Place = (typeof PLACES)[number][0];

/** A page of this service, with the way to the others. */
export function sitePage(
  title: string,
  content: Html,
  { place, ...options }: Omit<PageOptions, "banner" | "script"> & { readonly place?: Place } = {},
): string {
  const banner = html`<header class="site">
    <a class="skip" href="#main">Skip to the content</a>
    <nav aria-label="Pages">
      <ul>
        ${PLACES.map(
          ([path, name]) =>
            html`<li>
              <a href="${path}" ${path === place ? html`aria-current="page"` : html``}>${name}</a>
            </li>`,
        )}
      </ul>
    </nav>
  </header>`;
  return page(title, content, { wide: true, ...options, banner, script: SCRIPT });
}

/** Anybody's text as one line: cut, without characters that change how others are read. */
export function shown(text: string, lengthMax = LABEL_MAX): string {
  return cut(text, lengthMax);
}

/** A moment for people and for machines, in UTC; the script says it in the reader's own time as well. */
export function time(at: Date): Html {
  const iso = at.toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace("T", " ")} UTC</time>`;
}

export function timeOr(at: Date | null | undefined, otherwise: string): Html {
  return at === null || at === undefined ? html`${otherwise}` : time(at);
}

/** `skipped_dry_run` → `skipped dry run`. */
export function words(name: string): string {
  return shown(name.replaceAll("_", " "));
}

export function badge(text: string): Html {
  return html`<span class="badge">${words(text)}</span>`;
}

export function runLink(id: string, text = id): Html {
  return html`<a href="/runs/${encodeURIComponent(id)}">${shown(text)}</a>`;
}

export type Cell = string | Html;

interface Column {
  readonly name: string;
  /** Right-aligned figures. */
  readonly number?: boolean;
}

export interface TableParts {
  readonly caption: string;
  readonly columns: readonly (string | Column)[];
  /** The first cell of a row is its heading. */
  readonly rows: readonly (readonly Cell[])[];
  /** Said in place of an empty table. */
  readonly empty: string;
}

/** A table that can be scrolled with the keyboard, or a sentence when it would be empty. */
export function table({ caption, columns, rows, empty }: TableParts): Html {
  if (rows.length === 0) return html`<p>${empty}</p>`;
  const heads = columns.map((column) => (typeof column === "string" ? { name: column } : column));
  const kind = (at: number) => (heads[at]?.number === true ? "number" : "text");
  return html`<div class="scroll list" tabindex="0" role="region" aria-label="${caption}">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${heads.map(({ name }, at) => html`<th scope="col" class="${kind(at)}">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (cells) =>
            html`<tr>
              ${cells.map((cell, at) =>
                at === 0
                  ? html`<th scope="row">${cell}</th>`
                  : html`<td class="${kind(at)}">${cell}</td>`,
              )}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** Names and values; those without a value are left out. */
export function facts(pairs: readonly (readonly [name: string, value: Cell | undefined])[]): Html {
  return html`<dl>
    ${pairs.flatMap(([name, value]) =>
      value === undefined || value === ""
        ? []
        : [
            html`<dt>${name}</dt>
              <dd>${value}</dd>`,
          ],
    )}
  </dl>`;
}

/** Several lines of one text. */
export function lines(text: string, lengthMax = 600): Html {
  return html`${text
    .split("\n")
    .map((line, at) =>
      at === 0 ? html`${shown(line, lengthMax)}` : html`<br />${shown(line, lengthMax)}`,
    )}`;
}

export interface Pager {
  readonly path: string;
  /** The query without a cursor. */
  readonly query: URLSearchParams;
  readonly first: boolean;
  /** Cursor of what is older; undefined at the end. */
  readonly next: string | undefined;
}

export function pager({ path, query, first, next }: Pager): Html {
  const at = (after?: string) => {
    const own = new URLSearchParams(query);
    if (after !== undefined) own.set("after", after);
    return `${path}?${own.toString()}`;
  };
  return html`<p class="pages">
    ${first ? html`` : html`<a href="${at()}">Newest</a>`}
    ${next === undefined ? html`` : html`<a href="${at(next)}" rel="next">Older</a>`}
  </p>`;
}

export interface Choice {
  readonly value: string;
  readonly text: string;
}

export function select(
  name: string,
  label: string,
  value: string,
  choices: readonly Choice[],
): Html {
  return html`<div>
    <label for="${name}">${label}</label>
    <select id="${name}" name="${name}">
      ${choices.map(
        (choice) =>
          html`<option value="${choice.value}" ${choice.value === value ? html`selected` : html``}>
            ${choice.text}
          </option>`,
      )}
    </select>
  </div>`;
}

export function input(name: string, label: string, value: string | undefined): Html {
  return html`<div>
    <label for="${name}">${label}</label>
    <input type="text" id="${name}" name="${name}" value="${value ?? ""}" maxlength="200" />
  </div>`;
}
