import { html, type Html } from "../../lib/pages/html.ts";
import { page } from "../../lib/pages/layout.ts";
import type { Anomaly } from "../types/anomaly.ts";
import type { Verification } from "../verify.ts";
import { summaryOf } from "../words.ts";
import { timeElement } from "./time.ts";

/** What came out when Prometheus was asked again. */
export function verificationPage(anomaly: Anomaly, verification: Verification): string {
  return page(
    title(verification),
    html`<p>
        <a href="/anomalies/${encodeURIComponent(anomaly.id)}">${summaryOf(anomaly)}</a>
      </p>
      ${details(verification)}`,
    { wide: true },
  );
}

const FROM_MEMORY =
  "Prometheus cannot give the whole history of this series any more. What the scorer knew before the opening was kept with the anomaly: its newest values were compared with those of Prometheus, and the opening was scored after it again.";

function title({ verdict }: Verification): string {
  switch (verdict) {
    case "equal":
      return "Every number comes out the same";
    case "differs":
      return "Some numbers come out differently";
    case "cannot_verify":
      return "This cannot be verified";
  }
}

function details(verification: Verification): Html {
  if (verification.verdict === "cannot_verify") return html`<p>${verification.why}</p>`;
  const { asked, basis, compared, differences } = verification;
  return html`<p>
      ${String(compared)} numbers were compared. Asked for <code>${asked.expr}</code> from
      ${timeElement(asked.from)} to ${timeElement(asked.to)}, every ${String(asked.step / 1000)} s.
    </p>
    ${basis === "history" ? html`` : html`<p>${FROM_MEMORY}</p>`}
    ${
      differences.length === 0
        ? html``
        : html`<table>
            <caption>
              Differences
            </caption>
            <thead>
              <tr>
                <th scope="col">Number</th>
                <th scope="col" class="number">Recorded</th>
                <th scope="col" class="number">Recomputed</th>
              </tr>
            </thead>
            <tbody>
              ${differences.map(
                ({ name, recorded, recomputed }) =>
                  html`<tr>
                    <th scope="row">${name}</th>
                    <td class="number">${String(recorded)}</td>
                    <td class="number">${String(recomputed)}</td>
                  </tr>`,
              )}
            </tbody>
          </table>`
    }`;
}
