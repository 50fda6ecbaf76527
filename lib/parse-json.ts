/** Undefined for a text that is no JSON: cut off in the middle, or a proxy's HTML page. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
