const REQUEST_TIMEOUT_MS = 2_000;

/** Does the address answer 2xx now? Refused and slow both mean "not yet". */
export async function answersOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
