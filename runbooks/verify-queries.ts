const TRIGGER = /^[\w.-]{1,100}$/;

/**
 * Reads `trigger=PromQL`, separated by semicolons.
 *
 * @throws Error that names the entry and what was expected
 */
export function parseQueries(text: string): ReadonlyMap<string, string> {
  const queries = new Map<string, string>();
  for (const entry of text.split(";").map((part) => part.trim())) {
    if (entry === "") continue;
    const at = entry.indexOf("=");
    const trigger = entry.slice(0, Math.max(0, at)).trim();
    const query = entry.slice(at + 1).trim();
    if (!TRIGGER.test(trigger) || query === "")
      throw new Error(`expected trigger=PromQL, got ${JSON.stringify(entry)}`);
    if (queries.has(trigger)) throw new Error(`there are two queries for ${trigger}`);
    queries.set(trigger, query);
  }
  return queries;
}
