/** What Slack is told to make the app of: `api.slack.com/apps`, "from a manifest". */
export function slackManifest(publicUrl: string): object {
  return {
    display_information: {
      name: "Fettle",
      description: "Asks before it remediates, and tells what became of it",
    },
    features: { bot_user: { display_name: "fettle", always_online: true } },
    oauth_config: {
      scopes: {
        bot: [
          "chat:write",
          // To find a message that Slack took but did not confirm; the second one for private channels.
          "channels:history",
          "groups:history",
          // For approvers that are a usergroup.
          "usergroups:read",
        ],
      },
    },
    settings: {
      interactivity: { is_enabled: true, request_url: `${publicUrl}/slack/interactive` },
      org_deploy_enabled: false,
      socket_mode_enabled: false,
      token_rotation_enabled: false,
    },
  };
}
