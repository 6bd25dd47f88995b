//! Addresses of HTTP servers that a person has written.

use hyper::Uri;

/// Reads an `http` or `https` address.
///
/// # Errors
///
/// What is wrong with it, as a sentence without its subject. The address is not in it, since it may have a password in it.
pub fn read(text: &str) -> Result<Uri, &'static str> {
    let Some((scheme, rest)) = text.split_once("://") else { return Err("has no scheme such as http://") };
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err("begins neither with http:// nor with https://");
    }
    if rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
        return Err("has a user or a password in it, which is not sent");
    }
    if text.contains('#') {
        return Err("has a fragment, which is not sent");
    }
    let uri: Uri = text.parse().map_err(|_| "is no URL")?;
    let (host, authority) =
        (uri.host().unwrap_or_default(), uri.authority().map_or("", |authority| authority.as_str()));
    if host.is_empty() {
        return Err("has no host");
    }
    // The parser lets a port pass that no machine has, and then the usual one would be taken.
    match authority.strip_prefix(host).and_then(|port| port.strip_prefix(':')) {
        Some(port) if port.parse::<u16>().map_or(true, |port| port == 0) => {
            Err("has a port that is no number from 1 to 65535")
        }
        _ => Ok(uri),
    }
}

/// A value as a message may show it: not at all where it could be a URL with a password in it.
pub fn shown(value: &str) -> String {
    match value.contains("://") || value.contains('@') {
        true => "a URL or an address".into(),
        false => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_that_can_be_connected_to() {
        for right in
            ["http://a", "https://a.example:1/b?c=d", "HTTP://127.0.0.1:65535", "http://[::1]:80/", "http://[::1]"]
        {
            assert!(read(right).is_ok(), "{right}");
        }
        for (wrong, why) in [
            ("", "no scheme"),
            ("127.0.0.1:80", "no scheme"),
            ("ftp://a", "neither"),
            ("http://", "no URL"),
            ("http://:80", "no host"),
            ("http://127.0.0.1:99999", "65535"),
            ("http://127.0.0.1:0", "65535"),
            ("http://a:", "65535"),
            ("http://[::1]:99999", "65535"),
            ("http://[::1", "no URL"),
            ("http://a\n", "no URL"),
            ("http://a b", "no URL"),
            ("http://a#b", "fragment"),
        ] {
            let problem = read(wrong).unwrap_err();
            assert!(problem.contains(why), "{wrong:?}: {problem}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        for text in
            ["ftp://u:SECRET@x", "http://u:SECRET@x/api", "http://SECRET@x", "https://u:SECRET@x:99999?a", "SECRET@x"]
        {
            assert!(!read(text).unwrap_err().contains("SECRET"), "{text}");
            assert!(!shown(text).contains("SECRET"), "{text}");
        }
        assert_eq!(shown("0-3/8"), "\"0-3/8\"");
    }
}
