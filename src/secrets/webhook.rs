//! URLs that are secrets themselves: whoever knows one may post there.
//!
//! ```text
//! Slack     https://hooks.slack.com/services/T…/B…/…   also workflows/, triggers/
//! Discord   https://discord.com/api/webhooks/ID/TOKEN  also discordapp.com, canary., ptb., api/v10/
//! ```

use std::ops::Range;

/// The service of a webhook whose URL goes on like this behind `https://`, and where in that its secret stands.
pub(super) fn secret_in(rest: &str) -> Option<(&'static str, Range<usize>)> {
    let (host, path) = rest.split_once('/')?;
    let (service, from) = match host {
        "hooks.slack.com" => ("slack", slack(path)?),
        _ if is_discord(host) => ("discord", discord(path)?),
        _ => return None,
    };
    let start = host.len() + 1 + from;
    let secret = rest.get(start..)?;
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
    let length = secret.find(|c| !part(c)).unwrap_or(secret.len());
    (length >= SHORTEST).then_some((service, start..start + length))
}

/// Where in the path the names of the workspace, the hook and its key begin.
fn slack(path: &str) -> Option<usize> {
    let kinds = ["services/", "workflows/", "triggers/"];
    kinds.iter().find(|kind| path.starts_with(**kind)).map(|kind| kind.len())
}

fn is_discord(host: &str) -> bool {
    let host = ["canary.", "ptb."].iter().find_map(|part| host.strip_prefix(part)).unwrap_or(host);
    matches!(host, "discord.com" | "discordapp.com")
}

/// Where in the path the token begins, behind the number of the hook.
fn discord(path: &str) -> Option<usize> {
    let api = path.strip_prefix("api/")?;
    let hooks = match api.split_once('/') {
        Some((version, rest)) if version.starts_with('v') => rest,
        _ => api,
    };
    let hook = hooks.strip_prefix("webhooks/")?;
    let (number, token) = hook.split_once('/')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| path.len() - token.len())
}

/// Keys have 24 characters and more.
const SHORTEST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_told_from_other_pages_of_the_service() {
        let slack = "T012AB3CD/B045EF6GH/a1B2c3D4e5F6g7H8i9J0k1L2";
        let token = "aB3-dE6_gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6lO9rU2xA5dG8";
        for (url, want) in [
            (format!("hooks.slack.com/services/{slack}"), Some(("slack", slack))),
            (format!("hooks.slack.com/services/{slack}\", x"), Some(("slack", slack))),
            (format!("discord.com/api/webhooks/1234567890/{token}"), Some(("discord", token))),
            (
                format!("ptb.discordapp.com/api/v10/webhooks/12/{token}?wait=1"),
                Some(("discord", token)),
            ),
            ("hooks.slack.com/services/T…/B…/…".into(), None),
            ("hooks.slack.com/docs/messaging-with-incoming-webhooks".into(), None),
            ("discord.com/channels/1234567890/1234567890123456789012".into(), None),
            (format!("example.com/services/{slack}"), None),
        ] {
            let got = secret_in(&url).map(|(service, range)| (service, &url[range]));
            assert_eq!(got, want, "{url}");
        }
    }
}
