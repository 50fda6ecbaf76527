import { postJson } from "../../../lib/post-json.ts";
import type { Secret } from "../../../lib/secret.ts";
import type { RunNews } from "../../notify/compose.ts";
import { cut, escapeMarkdown, LABEL_MAX } from "../../notify/limits.ts";
import { isTold, storyOf } from "../../notify/message.ts";
import { milestonesOf } from "../../notify/milestones.ts";
import type { Links } from "../../notify/slack-blocks.ts";
import type { Channel } from "../../types/notice.ts";

const TITLE_MAX = 200;
const FACT_MAX = 500;
/** Looked through for an issue that an earlier attempt may have opened; five stay below what postJson reads. */
const RECENT = 5;

export interface GithubOptions {
  readonly url: string;
  readonly token: Secret;
  /** `owner/name` */
  readonly repository: string;
  readonly sends: "issue" | "dispatch";
  readonly links: Links;
  readonly internalHosts: readonly string[];
}

/** GitHub: an issue for a run that needs a person, or a `repository_dispatch` at the end of each run. */
export function connectGithub(options: GithubOptions): Channel {
  const { url, repository, sends, token, internalHosts } = options;
  const base = { internalHosts, headers: headersOf(token) };
  const issues = `${url}/repos/${repository}/issues`;
  return {
    name: "github",
    kindsOf: (event) => (event === "approval_pending" ? [] : milestonesOf(event)),
    send: async (letter, news, signal) => {
      const request = { ...base, signal };
      if (news.finishedAt === undefined || !isTold(news)) return undefined;
      if (sends === "dispatch") {
        const body = JSON.stringify(dispatchOf(news, options.links));
        await postJson("GitHub", {
          ...request,
          url: `${url}/repos/${repository}/dispatches`,
          body,
        });
        return {};
      }
      if (!NEEDS_PERSON.has(news.run.state)) return undefined;
      if (letter.attempts > 1) {
        const recent = `${issues}?labels=fettle&state=all&sort=created&direction=desc&per_page=${RECENT}`;
        const text = await postJson("GitHub", { ...request, method: "GET", url: recent });
        if (text.includes(markerOf(news))) return {};
      }
      const body = JSON.stringify(issueOf(news, options.links));
      await postJson("GitHub", { ...request, url: issues, body });
      return {};
    },
  };
}

const NEEDS_PERSON: ReadonlySet<string> = new Set(["failed", "unknown", "expired", "plan_stale"]);

function headersOf(token: Secret): Readonly<Record<string, string>> {
  return {
    authorization: `Bearer ${token.reveal()}`,
    accept: "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
    "user-agent": "fettle",
  };
}

function markerOf({ run }: RunNews): string {
  return `fettle:${run.id}`;
}

function issueOf(news: RunNews, links: Links): object {
  const story = storyOf(news);
  const page = links.run(news.run.id);
  const line = (text: string) => escapeMarkdown(cut(text.replaceAll("\n", "; "), FACT_MAX));
  return {
    title: cut(story.title, TITLE_MAX),
    labels: ["fettle"],
    body: [
      line(story.status),
      "",
      line(story.fired),
      "",
      ...story.facts.map(({ name, value }) => `- **${name}**: ${line(value)}`),
      "",
      page === undefined ? `Run ${news.run.id}` : `[Run ${news.run.id}](${page})`,
      `<!-- ${markerOf(news)} -->`,
    ].join("\n"),
  };
}

/** GitHub takes ten keys at most. */
function dispatchOf({ run, outcome }: RunNews, links: Links): object {
  return {
    event_type: "fettle_run",
    client_payload: {
      run: run.id,
      state: run.state,
      target: cut(run.targetKey, LABEL_MAX),
      namespace: cut(run.namespace, LABEL_MAX),
      app: cut(run.app, LABEL_MAX),
      action: run.plan?.action ?? null,
      dry_run: run.plan?.dryRun ?? null,
      outcome: cut(outcome ?? "", FACT_MAX),
      url: links.run(run.id) ?? null,
    },
  };
}
