import { canonicalJson, sha256Hex } from "../../lib/canonical.ts";
import type { ApprovalNews, RunNews } from "./compose.ts";
import { cut, escapeSlack, LABEL_MAX } from "./limits.ts";
import { isAsked, storyOf, type Story } from "./message.ts";

/** Slack's documented limits; escaping can make a text five times as long, so that raw texts are cut below them. */
const HEADER_MAX = 150;
const SECTION_MAX = 590;
const FIELD_MAX = 390;
const BUTTON_MAX = 75;
const CONFIRM_MAX = 300;
/** Slack says nothing of it, but refuses about 13,000 characters in all blocks together (bolt-js#2509). */
const TEXTS_MAX = 12_000;

/** Addresses of the pages behind a message; undefined when nobody has said where they are. */
export interface Links {
  readonly run: (runId: string) => string | undefined;
  readonly approval: (approvalId: string) => string | undefined;
  readonly queue: () => string | undefined;
}

/** What the buttons carry: it names the request, and proves that we made it. */
export type ButtonValue = (
  approval: Pick<ApprovalNews, "id" | "planHash">,
  verdict: "approved" | "rejected" | "ask_again",
) => string;

export interface SlackView {
  readonly links: Links;
  /** Undefined where no click can come back, as from an incoming webhook: links take the buttons' place. */
  readonly buttonValue: ButtonValue | undefined;
}

export interface SlackText {
  readonly text: string;
  readonly blocks: readonly object[];
}

/** The run's message as it is now. Two that look the same have the same {@link renderedHash}. */
export function slackMessage(news: RunNews, view: SlackView): SlackText {
  const story = storyOf(news);
  const text = escapeSlack(story.summary);
  const blocks = [
    {
      type: "header",
      text: { type: "plain_text", text: cut(story.title, HEADER_MAX), emoji: false },
    },
    contextOf(story),
    section(`*What fired*\n${escapeSlack(cutLines(story.fired, SECTION_MAX))}`),
    ...(story.status === "" ? [] : [section(`*${escapeSlack(cut(story.status, SECTION_MAX))}*`)]),
    { type: "section", fields: fieldsOf(news, story) },
    ...buttonsOf(news, view, story),
    footerOf(news),
  ];
  // Never with labels as they are cut here; a builder that is wrong must not lose the message.
  return lengthOf(blocks) > TEXTS_MAX ? plainMessage(text) : { text, blocks };
}

/** Without blocks, when Slack finds them too long. */
export function plainMessage(text: string): SlackText {
  return { text, blocks: [section(text)] };
}

export function renderedHash(message: SlackText): string {
  return sha256Hex(canonicalJson(message));
}

function contextOf({ context, dryRun }: Story): object {
  const [severity = "", ...rest] = context.map(escapeSlack);
  return {
    type: "context",
    elements: [
      markdown([`*${severity}*`, ...rest].join(" · ")),
      ...(dryRun ? [markdown(":test_tube: *DRY-RUN* – nothing will change")] : []),
    ],
  };
}

function fieldsOf(news: RunNews, { facts }: Story): readonly object[] {
  return facts.map(({ name, value }) => {
    if (name === "Expires" && news.approval !== undefined)
      return markdown(`*Expires*\n${dateOf(news.approval.expiresAt)}, then rejected`);
    const shown = escapeSlack(cutLines(value, FIELD_MAX));
    return markdown(`*${name}*\n${name === "Trend" ? `\`${shown}\`` : shown}`);
  });
}

/** In the reader's own time zone. */
function dateOf(at: Date): string {
  const iso = at.toISOString();
  return `<!date^${Math.floor(at.getTime() / 1000)}^{time}|${iso.slice(11, 16)} UTC>`;
}

function buttonsOf(news: RunNews, view: SlackView, story: Story): readonly object[] {
  const { approval, run } = news;
  const open = [
    ...linkButton("Open run", view.links.run(run.id)),
    ...linkButton("Diagnostics", news.collection?.link, "fettle_diagnostics"),
  ];
  const asked = isAsked(news) && approval !== undefined;
  if (view.buttonValue === undefined) {
    const page = asked
      ? linkButton("Approve or reject", view.links.approval(approval.id), "fettle_answer")
      : [];
    return actions([...page, ...open]);
  }
  if (asked) return actions([...answerButtons(approval, view.buttonValue, story), ...open]);
  const again =
    run.state === "plan_stale" && approval !== undefined
      ? [button("Ask again", "fettle_ask_again", view.buttonValue(approval, "ask_again"))]
      : [];
  return actions([...again, ...open]);
}

const RECORDED = " You are recorded as approver.";

function answerButtons(
  approval: ApprovalNews,
  value: ButtonValue,
  { title, summary, dryRun }: Story,
): readonly object[] {
  const what = dryRun ? "Approve dry run" : "Approve";
  const confirm = {
    title: { type: "plain_text", text: cut(title.replace(/^[^:]*: /, `${what}: `), 100) },
    // Plain, so that nothing has to be escaped: Slack allows 300 characters.
    text: {
      type: "plain_text",
      text: `${cut(summary, CONFIRM_MAX - RECORDED.length)}${RECORDED}`,
    },
    confirm: { type: "plain_text", text: "Approve" },
    deny: { type: "plain_text", text: "Back" },
  };
  return [
    {
      ...button(what, "fettle_approve", value(approval, "approved")),
      style: "primary",
      confirm,
    },
    { ...button("Reject", "fettle_reject", value(approval, "rejected")), style: "danger" },
  ];
}

function button(text: string, actionId: string, value: string): object {
  return {
    type: "button",
    action_id: actionId,
    text: { type: "plain_text", text: cut(text, BUTTON_MAX) },
    value,
  };
}

function linkButton(
  text: string,
  url: string | undefined,
  actionId = "fettle_open",
): readonly object[] {
  if (url === undefined) return [];
  return [{ type: "button", action_id: actionId, text: { type: "plain_text", text }, url }];
}

function actions(elements: readonly object[]): readonly object[] {
  return elements.length === 0 ? [] : [{ type: "actions", block_id: "fettle_approval", elements }];
}

const APPROVERS_SHOWN = 8;

function footerOf({ run, approval }: RunNews): object {
  const approvers = approval?.approvers ?? [];
  const shown = approvers.slice(0, APPROVERS_SHOWN).map(mentionOf).join(", ");
  const more =
    approvers.length > APPROVERS_SHOWN ? ` and ${approvers.length - APPROVERS_SHOWN}` : "";
  const who =
    approval === undefined ? [] : [`Who may approve: ${shown === "" ? "nobody" : shown}${more}`];
  const parts = [
    ...who,
    `run \`${escapeSlack(run.id)}\``,
    `runbook ${escapeSlack(cut(run.runbook, LABEL_MAX))}`,
  ];
  return { type: "context", elements: [markdown(parts.join(" · "))] };
}

/** Only the operator's own list may mention people, and only by Slack's ids. */
function mentionOf(approver: string): string {
  const id = approver.split("=").at(-1) ?? "";
  if (/^@S[A-Z0-9]{5,}$/.test(id)) return `<!subteam^${id.slice(1)}>`;
  if (/^[UW][A-Z0-9]{5,}$/.test(id)) return `<@${id}>`;
  return escapeSlack(cut(approver, 80));
}

function section(text: string): object {
  return { type: "section", text: markdown(text) };
}

/** `verbatim`: Slack makes no links, channels or names out of what labels contain. */
function markdown(text: string): object {
  return { type: "mrkdwn", text, verbatim: true };
}

/** {@link cut} for a text whose lines are ours. */
function cutLines(text: string, lengthMax: number): string {
  const whole = text
    .split("\n")
    .map((line) => cut(line, lengthMax))
    .join("\n");
  return whole.length <= lengthMax ? whole : `${whole.slice(0, lengthMax - 1).toWellFormed()}…`;
}

/** Every text that stands anywhere in the blocks. */
function lengthOf(value: unknown): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + lengthOf(item), 0);
  if (typeof value !== "object" || value === null) return 0;
  return Object.entries(value).reduce(
    (sum, [name, member]) =>
      sum + (name === "text" && typeof member === "string" ? member.length : lengthOf(member)),
    0,
  );
}
