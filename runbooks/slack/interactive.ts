import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { postJson } from "../../lib/post-json.ts";
import { readClick, takeClick, takeReason, type ClickDeps } from "./click.ts";
import { readSubmission } from "./reject-modal.ts";

/** Slack shows an error after 3 s. What takes longer is acknowledged, and its result is told afterwards. */
const ACK_MS = 2_000;

export interface InteractiveDeps extends ClickDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly internalHosts: readonly string[];
}

export interface Interactive {
  /**
   * Takes what Slack has sent. Resolves when it is to be acknowledged: once the answer is stored, or when Slack would not
   * wait any longer.
   *
   * @param firstTime false for a request that had come before
   */
  take(body: unknown, firstTime: Promise<boolean>): Promise<void>;
  /** Waits for what is still being told. */
  stop(): Promise<void>;
}

const UNSURE =
  "Fettle could not find out whether your click was taken. Look at the message, and press again if it still asks.";

export function openInteractive(deps: InteractiveDeps): Interactive {
  const { clock, log } = deps;
  const telling = new Set<Promise<void>>();
  const stopping = new AbortController();
  const tell = (url: string | undefined, text: string) => {
    const told = respond(url, text, stopping.signal, deps).finally(() => telling.delete(told));
    telling.add(told);
  };
  return {
    take: async (body, firstTime) => {
      const pressed = pressedIn(body, deps);
      if (pressed === undefined) return;
      const { responseUrl, answer } = pressed;
      const work = (async () => ((await firstTime) ? answer() : undefined))().catch(
        (error: unknown) => {
          log.error("a click in Slack failed", { error });
          return UNSURE;
        },
      );
      const done = work.then((text) => {
        if (text !== undefined) tell(responseUrl, text);
        return true;
      });
      const waiting = new AbortController();
      const late = clock.sleep(ACK_MS, waiting.signal).then(() => false);
      const inTime = await Promise.race([done, late]);
      waiting.abort();
      if (!inTime) tell(responseUrl, "Fettle is still checking your click.");
    },
    stop: async () => {
      const timer = setTimeout(() => {
        stopping.abort();
      }, ACK_MS);
      await Promise.all(telling);
      clearTimeout(timer);
    },
  };
}

/** A button of ours, or a dialog that one of them opened; undefined for everything else. */
function pressedIn(body: unknown, deps: ClickDeps) {
  const click = readClick(body);
  if (click !== undefined)
    return { responseUrl: click.response_url, answer: async () => takeClick(click, deps) };
  const submission = readSubmission(body);
  if (submission === undefined) return undefined;
  const { responseUrl } = submission.memory;
  return { responseUrl, answer: async () => takeReason(submission, deps) };
}

/** To the person who clicked only. Nothing depends on it: what it says is on the run's page as well. */
async function respond(
  url: string | undefined,
  text: string,
  signal: AbortSignal,
  { internalHosts, log }: InteractiveDeps,
): Promise<void> {
  if (url === undefined) return;
  const escaped = text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const body = JSON.stringify({
    response_type: "ephemeral",
    replace_original: false,
    text: escaped,
  });
  try {
    await postJson("Slack's response_url", { url, body, signal, internalHosts });
  } catch (error) {
    log.warn("a click's answer was not told in Slack", { error });
  }
}
