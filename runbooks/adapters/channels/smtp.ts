import { createTransport } from "nodemailer";
import { messageOf } from "../../../lib/error.ts";
import { DeliveryError } from "../../../lib/post-json.ts";
import type { Secret } from "../../../lib/secret.ts";
import type { RunNews } from "../../notify/compose.ts";
import { cut } from "../../notify/limits.ts";
import { isAsked, storyOf } from "../../notify/message.ts";
import { milestonesOf, stillHolds } from "../../notify/milestones.ts";
import type { Links } from "../../notify/slack-blocks.ts";
import type { Channel, Letter } from "../../types/notice.ts";

const TIMEOUT_MS = 10_000;
/** RFC 5322 allows 998; mail programs show far less. */
const SUBJECT_MAX = 150;
const FACT_MAX = 500;

export interface MailOptions {
  /** smtp://… with STARTTLS, or smtps://… */
  readonly url: Secret;
  readonly from: string;
  readonly to: readonly string[];
  readonly links: Links;
  /** Each approver's own links: only in the mail to an address that is itself the approver's name. */
  readonly personalLinks: (runId: string) => Promise<readonly PersonalLinks[]>;
  /** Hosts that may be spoken to without TLS. */
  readonly internalHosts: readonly string[];
}

export interface PersonalLinks {
  readonly approver: string;
  readonly approve: string;
  readonly reject: string;
}

/** Mails of plain text: one when people are asked, and one at the end, one recipient each. */
export function connectSmtp(options: MailOptions): Channel {
  const transport = transportOf(options);
  return {
    name: "email",
    kindsOf: milestonesOf,
    send: async (letter, news, signal) => {
      if (!stillHolds(letter, news)) return undefined;
      const personal = isAsked(news) ? await options.personalLinks(news.run.id) : [];
      for (const to of options.to) {
        const own = personal.find(({ approver }) => approver === to);
        await post(transport, mailOf(to, { letter, news, own }, options), signal);
      }
      return {};
    },
  };
}

function transportOf({ url, internalHosts }: MailOptions) {
  const { protocol, hostname, port, username, password } = new URL(url.reveal());
  const secure = protocol === "smtps:";
  return createTransport({
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? (secure ? 465 : 587) : Number(port),
    secure,
    requireTLS: !secure && !internalHosts.includes(hostname),
    ...(username === ""
      ? {}
      : { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } }),
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
}

interface Mail {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly messageId: string;
  readonly references: string;
  readonly headers: Readonly<Record<string, string>>;
}

function mailOf(
  to: string,
  {
    letter,
    news,
    own,
  }: { readonly letter: Letter; readonly news: RunNews; readonly own: PersonalLinks | undefined },
  { from, links }: MailOptions,
): Mail {
  const story = storyOf(news);
  const domain = from.split("@").at(-1) ?? "fettle";
  return {
    from,
    to,
    subject: cut(`[fettle] ${story.dryRun ? "DRY-RUN " : ""}${story.title}`, SUBJECT_MAX),
    text: textOf(news, links, own),
    // The same again when it is sent again, so that a mail program shows it once; the reference makes one conversation.
    messageId: `<${letter.id}.${news.run.id}@${domain}>`,
    references: `<${news.run.id}@${domain}>`,
    headers: { "Auto-Submitted": "auto-generated" },
  };
}

function textOf(news: RunNews, links: Links, own: PersonalLinks | undefined): string {
  const { run, approval } = news;
  const story = storyOf(news);
  const answer =
    own === undefined && approval !== undefined ? links.approval(approval.id) : undefined;
  const page = links.run(run.id);
  return [
    ...(story.dryRun ? ["DRY-RUN: nothing will change."] : []),
    ...(story.status === "" ? [] : [story.status]),
    "",
    story.fired,
    story.context.join(" · "),
    "",
    ...story.facts.map(
      ({ name, value }) => `${name}: ${cut(value.replaceAll("\n", "; "), FACT_MAX)}`,
    ),
    "",
    ...(own === undefined
      ? []
      : [
          `Approve (a page asks once more): ${own.approve}`,
          `Reject: ${own.reject}`,
          "These links are yours alone: who opens them answers in your name.",
        ]),
    ...(isAsked(news) && answer !== undefined ? [`Approve or reject: ${answer}`] : []),
    ...(page === undefined ? [`Run: fettle runs ${run.id}`] : [`Run: ${page}`]),
  ].join("\n");
}

async function post(
  transport: ReturnType<typeof transportOf>,
  mail: Mail,
  signal: AbortSignal,
): Promise<void> {
  // nodemailer knows no signal; a service that stops does not wait for a slow server.
  const stopped = Promise.withResolvers<never>();
  const stop = () => {
    stopped.reject(new Error("stopped"));
  };
  signal.addEventListener("abort", stop, { once: true });
  try {
    await Promise.race([transport.sendMail(mail), stopped.promise]);
  } catch (error) {
    const { responseCode = 0, code } = error as { responseCode?: number; code?: string };
    // A wrong password can be put right while we wait; an address that does not exist is refused again.
    const final = responseCode >= 500 && code !== "EAUTH";
    throw new DeliveryError(
      final ? "refused" : "unavailable",
      `the mail server: ${cut(messageOf(error), 200)}`,
      { cause: error },
    );
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
