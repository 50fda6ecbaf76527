/** HTML that is safe to send as it is. Made only by {@link html}. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
  ["'", "&#39;"],
]);

/** What neither HTML nor XML (an SVG file) may hold, even escaped: XML 1.0 §2.2, "Char". */
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const UNPRINTABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

function escapeHtml(text: string): string {
  const printable = text.toWellFormed().replace(UNPRINTABLE, "\ufffd");
  return printable.replace(/[&<>"']/g, (character) => ENTITIES.get(character) ?? character);
}

type Part = string | Html | readonly Html[];

/** A template whose values are escaped, unless they are {@link Html} already. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const rendered = parts.map((part) => {
    if (typeof part === "string") return escapeHtml(part);
    return part instanceof Html ? part.text : part.map(({ text }) => text).join("");
  });
  return new Html(String.raw({ raw: strings }, ...rendered));
}
