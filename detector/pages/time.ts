import { html, type Html } from "../../lib/pages/html.ts";

/** A moment for people and for machines, in UTC. */
export function timeElement(ms: number): Html {
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace("T", " ")} UTC</time>`;
}
