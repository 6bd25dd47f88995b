//! What can be changed in a request.

use axum::http::Method;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::sent::{PATHS, Sent};

/// Something to change.
#[derive(Clone, Debug)]
pub enum Change {
    Method(Method),
    Path(&'static str),
    /// Cuts the target or the body there, or puts something in.
    Target(Index, Option<&'static str>),
    Body(Index, Option<Vec<u8>>),
    Byte(Index, u8),
    Header(&'static str, String),
    Pieces(usize),
}

fn header(name: &'static str, values: &[&'static str]) -> impl Strategy<Value = Change> {
    select(values.to_vec()).prop_map(move |value| Change::Header(name, value.to_owned()))
}

/// One of them.
pub fn change() -> impl Strategy<Value = Change> {
    let methods = ["GET", "PUT", "POST", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"];
    let method = select(methods.to_vec()).prop_map(|name| Change::Method(name.parse().unwrap_or_default()));
    let part = select(vec![
        "%",
        "%2F",
        "%2e%2e/",
        "/",
        "//",
        "/..",
        "/./",
        "?",
        "&",
        "=",
        ";",
        "+",
        "%00",
        "%ff",
        "%F0%9F%A6%80",
        "&channel_id=a",
        "&thread_id=",
        "&x=y",
        "?window=5m",
        "a",
        "A",
        "~",
        ":",
        "@",
        "*",
        "%c3",
        "%25",
        "|",
        "&&",
    ]);
    let json = select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "null",
        "0",
        "-1",
        "1e3",
        "9223372036854775808",
        "\\u0000",
        "\\ud800",
        "\\",
        "\u{0}",
        "\"x\":1,",
        "\"channel_id\":\"b\",",
        "\"thread_id\":null,",
        "true",
        "\u{feff}",
        " ",
        "\n",
        "\u{1f980}",
        "//",
        "1.0",
    ]);
    let json = json.prop_map(|text| text.as_bytes().to_vec());
    let header = prop_oneof![
        header(
            "content-type",
            &[
                "text/plain",
                "application/json",
                "application/json; charset=latin1",
                "Application/JSON;charset=\"utf-8\"",
                "",
                "application/x-ndjson",
                "application/json;",
                "multipart/form-data; boundary=x"
            ]
        ),
        header(
            "accept",
            &[
                "text/html",
                "*/*",
                "application/json;q=0",
                "application/x-ndjson;q=0.1, */*",
                "",
                "q",
                ",,;q=",
                "application/*"
            ]
        ),
        header("content-encoding", &["gzip", "identity", ""]),
        header("cofferdam-timeout", &["", "0", "10s", "2562047h", "9999999999h", "-1s", "1", "x", "10s ", "1e3s"]),
        header("x-request-id", &["", "id", "two words", "\u{e9}", "%", "0123456789"]),
        header("authorization", &["Bearer x", "", "Basic eA=="]),
        header("content-length", &["0", "5", "99999999", "-1", "x", "18446744073709551616"]),
        header("expect", &["100-continue", "x"]),
        header("transfer-encoding", &["chunked", "gzip"]),
        header("host", &["", "elsewhere", "localhost:1"]),
        header("connection", &["close", "upgrade"]),
        header("allow", &["GET"]),
    ];
    prop_oneof![
        1 => method,
        1 => select(PATHS.to_vec()).prop_map(Change::Path),
        3 => (any::<Index>(), prop::option::weighted(0.8, part)).prop_map(|(at, part)| Change::Target(at, part)),
        3 => (any::<Index>(), prop::option::weighted(0.8, json)).prop_map(|(at, part)| Change::Body(at, part)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        3 => header,
        1 => (2_usize..9).prop_map(Change::Pieces),
    ]
}

/// Changes a request.
pub fn apply(sent: &mut Sent, change: Change) {
    match change {
        Change::Method(method) => sent.method = method,
        Change::Path(path) => {
            let query = sent.target.find('?').map(|start| sent.target[start..].to_owned());
            sent.target = format!("{path}{}", query.unwrap_or_default());
        }
        Change::Target(at, part) => {
            // Targets are ASCII; the first byte is that of a path.
            let at = 1 + at.index(sent.target.len());
            match part {
                Some(part) => sent.target.insert_str(at.min(sent.target.len()), part),
                None => sent.target.truncate(at),
            }
        }
        Change::Body(at, part) => {
            let at = at.index(sent.body.len() + 1);
            match part {
                Some(part) => drop(sent.body.splice(at..at, part)),
                None => sent.body.truncate(at),
            }
        }
        Change::Byte(at, byte) if !sent.body.is_empty() => {
            let at = at.index(sent.body.len());
            sent.body[at] = byte;
        }
        Change::Byte(..) => sent.body.push(b'{'),
        Change::Header(name, value) => {
            sent.headers.retain(|header| header.0 != name);
            sent.headers.push((name, value));
        }
        Change::Pieces(pieces) => sent.pieces = pieces,
    }
}
