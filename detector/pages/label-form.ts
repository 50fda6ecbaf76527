import { html, type Html } from "../../lib/pages/html.ts";
import type { AnomalyLabel, LabelName } from "../types/labels.ts";
import { timeElement } from "./time.ts";

/** What somebody has typed, shown again when it was not taken. The token is never shown again. */
export interface TypedLabel {
  readonly label: string;
  readonly by: string;
  readonly note: string;
  /** Why it was not taken. */
  readonly problem: string;
}

const MEANINGS: Readonly<Record<LabelName, string>> = {
  real: "Real: something was wrong",
  false_positive: "False positive: this was normal, training may learn from it",
  expected_change: "Expected change: planned, a release for instance",
};

/** What was said about an anomaly. */
export function labelList(labels: readonly AnomalyLabel[]): Html {
  if (labels.length === 0) return html`<p>Nobody has said anything yet.</p>`;
  return html`<ul>
    ${labels.map(
      ({ label, by, note, at }) =>
        html`<li>
          <strong>${label.replaceAll("_", " ")}</strong> by ${by},
          ${timeElement(at)}${note === undefined ? "" : `: ${note}`}
        </li>`,
    )}
  </ul>`;
}

/**
 * Where a person says what an anomaly was. There is no login: the form asks for the token, so that no other site can send
 * it in somebody's name; a password manager may fill it in.
 */
export function labelForm(anomalyId: string, typed: TypedLabel | undefined): Html {
  return html`<form method="post" action="/anomalies/${encodeURIComponent(anomalyId)}/labels#say">
    ${typed === undefined ? html`` : html`<p role="alert"><strong>Not saved.</strong> ${typed.problem}</p>`}
    <fieldset>
      <legend>What was it?</legend>
      ${Object.entries(MEANINGS).map(([name, meaning]) => choice(name, meaning, typed?.label === name))}
    </fieldset>
    <label for="note">Note (optional)</label>
    <textarea id="note" name="note" rows="3" maxlength="2000">${typed?.note ?? ""}</textarea>
    <label for="by">Your name</label>
    <input
      type="text"
      id="by"
      name="by"
      value="${typed?.by ?? ""}"
      required
      maxlength="200"
      autocomplete="username"
    />
    <label for="token">Token (the detector's DETECTOR_API_TOKEN)</label>
    <input
      type="password"
      id="token"
      name="token"
      required
      maxlength="1000"
      autocomplete="current-password"
    />
    <button type="submit">Save</button>
  </form>`;
}

function choice(name: string, meaning: string, chosen: boolean): Html {
  return html`<label
    ><input type="radio" name="label" value="${name}" required ${chosen ? html`checked` : html``} />
    ${meaning}</label
  >`;
}
