/** What JSON.parse does not say about a text. */
export interface JsonForm {
  readonly tooDeep: boolean;
  /** Some object has a key twice; JSON.parse takes the last one. */
  readonly duplicateKeys: boolean;
}

/**
 * Looks at the brackets and keys of a JSON text in one pass; of a text that is no JSON it says anything. A regular
 * expression would need a stack for long strings, and nesting of 1,000,000 levels is no problem for JSON.parse, but for all
 * that come after it. Keys are compared as they are written: `"a"` and `"\\u0061"` count as two.
 */
export function inspectJson(text: string, maxDepth: number): JsonForm {
  const keys: (Set<string> | undefined)[] = []; // of each open bracket; undefined for a list
  let duplicateKeys = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '"') {
      const end = endOfString(text, at);
      const own = keys.at(-1);
      if (own !== undefined && isKey(text, end)) {
        const key = text.slice(at, end);
        if (own.has(key)) duplicateKeys = true;
        own.add(key);
      }
      at = end;
    } else if (character === "{" || character === "[") {
      keys.push(character === "{" ? new Set() : undefined);
      if (keys.length > maxDepth) return { tooDeep: true, duplicateKeys };
    } else if (character === "}" || character === "]") keys.pop();
  }
  return { tooDeep: false, duplicateKeys };
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

function isKey(text: string, end: number): boolean {
  let at = end + 1;
  while (/\s/.test(text[at] ?? "x")) at += 1;
  return text[at] === ":";
}
