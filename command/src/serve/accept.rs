//! The format that a client wants of a list.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::problem::{Kind, Problem};

/// A format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One document.
    Json,
    /// A row a line.
    Ndjson,
}

/// What the client likes best; of several that it likes as well the one that it names first.
pub fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    let mut best: Option<(f32, Format)> = None;
    let mut is_named = false;
    for part in headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','))
    {
        is_named = true;
        let mut parts = part.split(';').map(str::trim);
        let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "application/x-ndjson" => Format::Ndjson,
            "application/json" | "application/*" | "*/*" => Format::Json,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.map_or(1.0, |text| text.parse().unwrap_or(0.0));
        if quality > best.map_or(0.0, |best| best.0) {
            best = Some((quality, format));
        }
    }
    match best {
        Some((_, format)) => Ok(format),
        None if !is_named => Ok(Format::Json),
        None => Err(Problem::new(Kind::NotAcceptable, "accept application/json or application/x-ndjson")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_client_likes_best() {
        let of = |text: &'static str| format(&HeaderMap::from_iter([(ACCEPT, text.parse().unwrap())])).ok();
        assert_eq!(format(&HeaderMap::new()).ok(), Some(Format::Json));
        for (text, expected) in [
            ("*/*", Some(Format::Json)),
            ("application/x-ndjson", Some(Format::Ndjson)),
            ("text/html, application/json;q=0.5, application/X-NDJSON; q=0.9", Some(Format::Ndjson)),
            ("application/json, application/x-ndjson", Some(Format::Json)),
            ("application/x-ndjson, */*", Some(Format::Ndjson)),
            ("text/html", None),
            ("application/json;q=0", None),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }
}
