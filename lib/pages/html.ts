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

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES.get(character) ?? character);
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
