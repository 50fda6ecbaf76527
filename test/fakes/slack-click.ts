import { createHmac } from "node:crypto";

/** Somebody presses a button. What is left out is as it would be for the message that Fettle posted. */
interface GivenClick {
  readonly secret: string;
  /** The person's id, such as `U0ANA`. */
  readonly user: string;
  /** `fettle_approve`, `fettle_reject`, `fettle_ask_again` or `fettle_open`. */
  readonly action: string;
  readonly value?: string;
  readonly channel?: string;
  readonly messageTs?: string;
  readonly team?: string;
  readonly app?: string;
  readonly responseUrl: string;
  /** Unix seconds at which it is signed; now when undefined. */
  readonly at?: number;
}

/** Slack's signature, version 0, over the raw body. */
export function signSlack(secret: string, at: number, body: string): string {
  return `v0=${createHmac("sha256", secret).update(`v0:${at}:${body}`).digest("hex")}`;
}

let clicks = 0;

interface GivenSubmission extends Pick<GivenClick, "secret" | "user" | "team" | "app"> {
  /** What `views.open` was given. */
  readonly view: { readonly callback_id?: unknown; readonly private_metadata?: unknown };
  readonly reason: string | null;
}

/** The request that Slack sends for a dialog that was filled in and sent. */
export function signedSubmission(submission: GivenSubmission): ReturnType<typeof signedClick> {
  clicks += 1;
  const { team = "T0FETTLE", app = "A0FETTLE", user, view, reason } = submission;
  return signed(submission.secret, Math.floor(Date.now() / 1000), {
    type: "view_submission",
    api_app_id: app,
    team: { id: team, domain: "fettle" },
    user: { id: user, username: "anybody", name: "anybody", team_id: team },
    trigger_id: `${clicks}.trigger`,
    view: {
      id: `V0${clicks}`,
      type: "modal",
      ...view,
      state: { values: { fettle_reason: { reason: { type: "plain_text_input", value: reason } } } },
      hash: "1.abc",
    },
    response_urls: [],
    is_enterprise_install: false,
  });
}

function signed(secret: string, at: number, payload: object) {
  const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
  return {
    body,
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      "x-slack-request-timestamp": String(at),
      "x-slack-signature": signSlack(secret, at, body),
    },
  };
}

/** The request that Slack sends to `/slack/interactive` for a click: its exact bytes and headers. */
export function signedClick(click: GivenClick): {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
} {
  clicks += 1;
  const at = click.at ?? Math.floor(Date.now() / 1000);
  const { channel = "C0FETTLE", messageTs = "1795240000.000001", team = "T0FETTLE" } = click;
  return signed(click.secret, at, {
    type: "block_actions",
    api_app_id: click.app ?? "A0FETTLE",
    token: "deprecated",
    team: { id: team, domain: "fettle" },
    user: { id: click.user, username: "anybody", name: "anybody", team_id: team },
    channel: { id: channel, name: "alerts" },
    container: { type: "message", message_ts: messageTs, channel_id: channel, is_ephemeral: false },
    message: { type: "message", ts: messageTs, text: "Approval needed" },
    trigger_id: `${clicks}.trigger`,
    response_url: click.responseUrl,
    actions: [
      {
        type: "button",
        action_id: click.action,
        block_id: "fettle_approval",
        text: { type: "plain_text", text: "button" },
        ...(click.value === undefined ? {} : { value: click.value }),
        action_ts: `${at}.${String(clicks).padStart(6, "0")}`,
      },
    ],
    state: { values: {} },
  });
}
