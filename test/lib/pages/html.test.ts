import { expect, test } from "@jest/globals";
import { html } from "../../../lib/pages/html.ts";
import { HOSTILE_TEXTS } from "../../fixtures/hostile-texts.ts";

test("what stands in a value is text: no tag, no attribute, no character that makes the file ill-formed", () => {
  for (const text of HOSTILE_TEXTS) {
    const written = html`<p title="${text}">${text}</p>`.text;

    expect(written).toMatch(/^<p title="[^<>"']*">[^<>"']*<\/p>$/);
    // eslint-disable-next-line no-control-regex -- they are what must not be there
    expect(written).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/);
    expect(written.isWellFormed()).toBe(true);
  }
});

test("a character that cannot be shown is seen to have been there", () => {
  expect(html`${"a\0b\ud800c\td\ne"}`.text).toBe("a\ufffdb\ufffdc\td\ne");
});
