//! Which requests go through a proxy.

use super::Secret;
use super::settings::Settings;
use super::url::{host_and_port, is_loopback, netloc};
use crate::error::Result;
use crate::writer::environ::Environ;
use std::net::IpAddr;

/// Proxies, and what is reached without one.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Proxies {
    /// The proxy's URL for requests to `http://`.
    pub http: Option<Secret>,
    /// The proxy's URL for requests to `https://`.
    pub https: Option<Secret>,
    /// Hosts that are reached without, in the form of `NO_PROXY`: names, which mean all hosts below them, too, and
    /// addresses, each with or without a port, or ranges of addresses such as `10.0.0.0/8`, with commas between
    /// them; or `*`.
    pub except: String,
}

impl Proxies {
    /// What the environment and the settings files name.
    pub(super) fn resolve(environ: &Environ, settings: &Settings) -> Result<Self> {
        let named = |own: &str, key: &str, usual: [&'static str; 4]| -> Result<Option<Secret>> {
            let own = environ.text(own)?.or_else(|| settings.get(key));
            let usual = environ.first(&usual)?.map(|(_, url)| url);
            Ok(own.or(usual).map(Secret::new))
        };
        let http = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
        let https = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        let except = environ.first(&["NO_PROXY", "no_proxy"])?;
        Ok(Self {
            http: named("WANDB_HTTP_PROXY", "http_proxy", http)?,
            https: named("WANDB_HTTPS_PROXY", "https_proxy", https)?,
            except: except.map(|(_, hosts)| hosts.to_owned()).unwrap_or_default(),
        })
    }

    /// The proxy for a URL. There is none for this machine.
    pub fn of(&self, url: &str) -> Option<&Secret> {
        let secure = url.starts_with("https://");
        let proxy = if secure { &self.https } else { &self.http };
        let (host, port) = host_and_port(netloc(url));
        let port = port.unwrap_or(if secure { "443" } else { "80" });
        proxy.as_ref().filter(|_| !is_loopback(url) && !self.are_passed_by(host, port))
    }

    fn are_passed_by(&self, host: &str, port: &str) -> bool {
        let entries = self.except.split([',', ' ']).filter(|entry| !entry.is_empty());
        entries.map(host_and_port).any(|(name, wanted)| {
            let name = name.trim_start_matches("*.").trim_start_matches('.');
            let named = name == "*" || is_below(host, name) || is_within(host, name);
            named && wanted.is_none_or(|wanted| wanted == port)
        })
    }
}

/// Whether a host is the one of this name, or one below it.
fn is_below(host: &str, name: &str) -> bool {
    let (host, name) = (host.to_ascii_lowercase(), name.to_ascii_lowercase());
    host.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether a host is an address in this range, which is given by its beginning and how many bits of it count.
fn is_within(host: &str, range: &str) -> bool {
    let Some((start, bits)) = range.split_once('/') else { return false };
    let other_bits = |width: u32| width.checked_sub(bits.parse().ok()?);
    match (host.parse(), start.parse()) {
        (Ok(IpAddr::V4(host)), Ok(IpAddr::V4(start))) => other_bits(32).is_some_and(|bits| {
            (u32::from(host) ^ u32::from(start)).checked_shr(bits).unwrap_or(0) == 0
        }),
        (Ok(IpAddr::V6(host)), Ok(IpAddr::V6(start))) => other_bits(128).is_some_and(|bits| {
            (u128::from(host) ^ u128::from(start)).checked_shr(bits).unwrap_or(0) == 0
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_passed_by_on_the_way_to_what_is_named_and_to_this_machine() {
        let url = |text: &str| Some(Secret::new(text));
        let mut proxies =
            Proxies { http: url("http://a"), https: url("http://b"), ..Proxies::default() };
        for (except, to, proxy) in [
            ("", "http://h/x", url("http://a")),
            ("", "https://h/x", url("http://b")),
            ("", "http://localhost:8080", None),
            ("", "https://[::1]/x", None),
            ("", "http://127.0.0.1@h/x", url("http://a")),
            ("*", "https://h", None),
            ("a.example, example.org", "https://api.example.org", None),
            ("a.example example.org", "https://EXAMPLE.org:8443/x", None),
            (".example.org", "https://api.example.org", None),
            ("*.example.org", "https://api.example.org", None),
            ("example.org", "https://notexample.org", url("http://b")),
            ("h:8443", "https://h:8443/x", None),
            ("h:8443", "https://h/x", url("http://b")),
            ("h:443", "https://h/x", None),
            ("10.0.0.7", "https://10.0.0.7:9", None),
            ("fd00::7", "https://[fd00::7]:9", None),
            ("[fd00::7]:9", "https://[fd00::7]:9", None),
            ("10.0.0.0/8", "https://10.255.0.7", None),
            ("10.0.0.0/8", "https://11.0.0.7", url("http://b")),
            ("10.0.0.0/8", "https://h10.0.0.7", url("http://b")),
            ("0.0.0.0/0", "https://11.0.0.7", None),
            ("10.0.0.0/33", "https://10.0.0.7", url("http://b")),
            ("fd00::/8", "https://[fd12::7]", None),
            ("fd00::/8", "https://[fe80::7]", url("http://b")),
        ] {
            proxies.except = except.to_owned();
            assert_eq!(proxies.of(to), proxy.as_ref(), "{except:?} {to}");
        }
    }
}
