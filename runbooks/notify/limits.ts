/** Labels are anybody's; this much of one is shown. */
export const LABEL_MAX = 200;

/** At most so many UTF-16 units, as the vendors count, without half a character; control and direction characters become blanks. */
export function cut(text: string, lengthMax: number): string {
  const clean = text
    .toWellFormed()
    .replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, " ");
  if (clean.length <= lengthMax) return clean;
  return `${clean.slice(0, lengthMax - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** Slack's three control characters, without which `<!channel>` is a text, and the backquote that ends a code span. */
export function escapeSlack(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("`", "'");
}

/** Every character that Discord's and GitHub's Markdown, mentions, links or HTML begin with. */
export function escapeMarkdown(text: string): string {
  return text
    .replace(/[\\*_~`|>#[\]()<:-]/g, "\\$&")
    .replaceAll("@", "@\u200b")
    .replaceAll("&", "&amp;");
}
