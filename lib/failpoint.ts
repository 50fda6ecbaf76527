/**
 * Crash tests name a step in `FETTLE_FAILPOINT=name[:nth][:hang|throw|pause]`; the process kills itself there as kill -9
 * would, or stands still for ever, fails, or waits for three seconds so that something else can be killed meanwhile.
 * Without the variable it is one comparison.
 */
interface Failpoint {
  readonly name: string;
  readonly nth: number;
  readonly effect: Effect;
}

const EFFECTS = ["kill", "hang", "throw", "pause"] as const;
type Effect = (typeof EFFECTS)[number];

const PAUSE_MS = 3_000;

let armed: Failpoint | undefined;
let passed = 0;

/** Arms the failpoint of a crash test; called once by `main.ts` with the variable's text. */
export function armFailpoint(text: string | undefined): void {
  if (text === undefined || text === "") return;
  const [name = "", ...options] = text.split(":");
  const nth = Number(options.find((option) => /^\d+$/.test(option)) ?? "1");
  const effect = EFFECTS.find((each) => options.includes(each)) ?? "kill";
  armed = { name, nth, effect };
  passed = 0;
}

/** Marks a step between two durable states. */
export async function failpoint(name: string): Promise<void> {
  if (armed?.name !== name) return;
  passed += 1;
  if (passed !== armed.nth) return;
  if (armed.effect === "throw") throw new Error(`failpoint ${name}`);
  if (armed.effect === "kill") process.kill(process.pid, "SIGKILL");
  process.stderr.write(`failpoint ${name}\n`); // whoever tests knows that it is here
  await new Promise((resolve) => {
    if (armed?.effect === "pause") setTimeout(resolve, PAUSE_MS);
  });
}
