const HOUR_MS = 60 * 60 * 1000;

/** Whether the clocks of a zone were set forward or back in the hour before `at`. */
export function clocksChanged(timeZone: string, at: Date): boolean {
  const offset = new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" });
  const [now, before] = [at, new Date(at.getTime() - HOUR_MS)].map((time) =>
    offset.formatToParts(time).find(({ type }) => type === "timeZoneName"),
  );
  return now?.value !== before?.value;
}
