//! The parts of URLs.

/// Scheme, host and port of a URL.
pub(crate) fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
    end.and_then(|end| url.get(..host + end)).unwrap_or(url)
}

/// Host and port of a URL.
pub(super) fn netloc(url: &str) -> &str {
    let origin = origin(url);
    origin.split_once("://").map_or(origin, |(_, host)| host)
}

/// Host and port of what may have a user before it, and brackets around the host.
pub(super) fn host_and_port(netloc: &str) -> (&str, Option<&str>) {
    let place = netloc.rsplit_once('@').map_or(netloc, |(_, place)| place);
    let (host, port) = match place.rsplit_once(':') {
        // Otherwise it is part of the host, which is an address.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

/// Whether a URL is of this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let (host, _) = host_and_port(netloc(url));
    let is_address = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    host.eq_ignore_ascii_case("localhost") || is_address
}

/// One part of a path, escaped.
pub(crate) fn path_part(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    // These would be taken for the directory's own name.
    if matches!(text, "." | "..") { out.replace('.', "%2E") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths_are_escaped() {
        assert_eq!(path_part("a b/ü?.."), "a%20b%2F%C3%BC%3F..");
        assert_eq!(path_part(".."), "%2E%2E");
    }
}
