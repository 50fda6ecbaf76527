const TIMEOUT_MS = 10_000;

/**
 * Tells the hypervisor that a drill went well, which sets `last_successful_drill_timestamp_seconds`.
 *
 * @returns whether there was somebody to tell
 * @throws Error when they do not take it: a drill that nobody hears of ends no alert
 */
export async function reportDrill(url: string | undefined, token = ""): Promise<boolean> {
  if (url === undefined || url === "") return false;
  const response = await fetch(new URL("/metrics/drill-success", url), {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: "{}",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status} to the news of the drill`);
  return true;
}
