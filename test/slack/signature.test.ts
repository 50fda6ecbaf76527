import { expect, test } from "@jest/globals";
import { Secret } from "../../lib/secret.ts";
import { slackObjection } from "../../runbooks/slack/signature.ts";
import { signSlack } from "../fakes/slack-click.ts";

/** The example of Slack's own documentation ("Verifying requests from Slack"). */
const VECTOR = {
  secret: "8f742231b10e8888abcd99yyyzzz85a5",
  timestamp: "1531420618",
  signature: "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
  body:
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V" +
    "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=" +
    "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN" +
    "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
};
const NOW = new Date(1_531_420_618_000);
const SECRETS = [new Secret(VECTOR.secret)];

function objection(
  change: { signature?: string | undefined; timestamp?: string | undefined; body?: string },
  now = NOW,
  secrets = SECRETS,
): string | undefined {
  const { signature, timestamp, body } = { ...VECTOR, ...change };
  return slackObjection({ signature, timestamp }, Buffer.from(body), secrets, now);
}

test("Slack's own example is accepted, up to five minutes around our clock", () => {
  expect(objection({})).toBeUndefined();
  for (const seconds of [-300, 300])
    expect(objection({}, new Date(NOW.getTime() + seconds * 1_000))).toBeUndefined();
});

const FORM = "the signature is missing or of another form";
const TIME = "the timestamp is missing or no number";
const WRONG = "the signature is wrong";

test.each<[string, Parameters<typeof objection>[0], string]>([
  ["no signature", { signature: undefined }, FORM],
  ["no timestamp", { timestamp: undefined }, TIME],
  ["a timestamp that is no number", { timestamp: "1531420618x" }, TIME],
  ["a negative timestamp", { timestamp: "-1531420618" }, TIME],
  ["another version", { signature: VECTOR.signature.replace("v0=", "v1=") }, FORM],
  ["no version", { signature: VECTOR.signature.slice(3) }, FORM],
  ["a short signature", { signature: VECTOR.signature.slice(0, -1) }, FORM],
  ["an empty signature", { signature: "v0=" }, FORM],
  ["capitals", { signature: VECTOR.signature.toUpperCase() }, FORM],
  ["one bit less", { signature: VECTOR.signature.replace(/3$/, "2") }, WRONG],
  ["another body", { body: `${VECTOR.body}&` }, WRONG],
  ["the timestamp of another second", { timestamp: "1531420619" }, WRONG],
])("%s is refused", (_name, change, why) => {
  expect(objection(change)).toBe(why);
});

test("a right signature is refused when it is older or younger than five minutes", () => {
  for (const seconds of [-301, 301])
    expect(objection({}, new Date(NOW.getTime() + seconds * 1_000))).toContain("5 minutes");
});

test("while a secret is rotated both are taken, afterwards only the new one", () => {
  const rotated = new Secret("the-new-signing-secret");
  const fresh = signSlack(rotated.reveal(), Number(VECTOR.timestamp), VECTOR.body);

  expect(objection({}, NOW, [rotated, ...SECRETS])).toBeUndefined();
  expect(objection({ signature: fresh }, NOW, [rotated, ...SECRETS])).toBeUndefined();
  expect(objection({}, NOW, [rotated])).toBe("the signature is wrong");
});
