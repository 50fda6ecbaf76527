import { failed, ok, warning, type DoctorCheck, type DoctorPorts, type Look } from "./types.ts";

interface SlackSetup {
  readonly hasSigningSecret: boolean;
  /** Some approvers are a usergroup. */
  readonly hasGroups: boolean;
}

/** Whether the bot's token is good, and its rights are enough. Posts nothing: `fettle slack test` does. */
export function checkSlackApp(
  { hasSigningSecret, hasGroups }: SlackSetup,
  { slackBot }: Pick<DoctorPorts, "slackBot">,
): DoctorCheck {
  return {
    area: "slack",
    what: "auth.test",
    look: async (signal) => {
      const { who, scopes } = await slackBot(signal);
      return [
        ok("auth.test", who),
        ...(scopes === undefined
          ? [warning("scopes", "Slack does not tell them")]
          : scopeLooks(scopes, hasGroups)),
        hasSigningSecret
          ? ok("signing secret", "is set")
          : warning("signing secret", "SLACK_SIGNING_SECRET is not set: links instead of buttons"),
      ];
    },
  };
}

function scopeLooks(scopes: readonly string[], hasGroups: boolean): Look[] {
  const lacks = (...names: readonly string[]) => names.every((name) => !scopes.includes(name));
  const looks = [
    ...(lacks("chat:write") ? [failed("scope chat:write", "is missing: nobody can be asked")] : []),
    ...(lacks("channels:history", "groups:history")
      ? [warning("scope channels:history", "is missing: after an outage a message may come twice")]
      : []),
    ...(hasGroups && lacks("usergroups:read")
      ? [
          failed(
            "scope usergroups:read",
            "is missing: approvers that are a usergroup may not answer",
          ),
        ]
      : []),
  ];
  return looks.length > 0 ? looks : [ok("scopes", "enough")];
}
