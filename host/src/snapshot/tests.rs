//! Small snapshots in memory, damaged in every place.

use std::io::Write;
use std::sync::Arc;

use super::format::{Header, Origin, Row};
use super::read::{Reader, verify};
use super::write::Writer;
use super::{BrokenRules, Compression, Contents, Progress, SnapshotError};
use crate::{MessageState, ThreadOwnership};

fn header() -> Header {
    let backend = Origin { name: "sqlite".into(), version: "0.1.0".into(), schema_version: 2 };
    Header { created_at: 1_700_000_000, tool: "cofferdam 0.1.0".into(), backend }
}

fn state(channel_id: &str, thread_id: Option<&str>) -> Row {
    Row::State(MessageState {
        created_at: i64::MIN,
        updated_at: i64::MAX,
        ..MessageState::new(channel_id, thread_id, "m\u{1f980}\"\\\n\u{2028}", -1)
    })
}

fn ownership(thread_id: &str) -> Row {
    Row::Ownership(ThreadOwnership {
        created_at: 0,
        updated_at: 7,
        ..ThreadOwnership::new(thread_id, "u", "\u{202e}b", i64::MAX)
    })
}

fn rows() -> Vec<Row> {
    vec![state("a", None), state("a", Some("")), state("a", Some("t")), state("\u{e9}", None), ownership("t")]
}

fn written(rows: &[Row], compression: Compression) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), compression, &header(), Arc::<Progress>::default()).unwrap();
    for row in rows {
        writer.write(std::slice::from_ref(row)).unwrap();
    }
    writer.finish().unwrap().0
}

fn read(bytes: &[u8]) -> Result<(Vec<Row>, Contents), SnapshotError> {
    let mut reader = Reader::new(bytes)?;
    let mut rows = Vec::new();
    while let Some((_, row)) = reader.next()? {
        rows.push(row);
    }
    Ok((rows, reader.contents(BrokenRules::default())))
}

/// A snapshot with these lines and a right trailer.
fn of_lines(lines: &str, message_states: u64, thread_ownerships: u64) -> String {
    use sha2::Digest;
    let head = written(&[], Compression::None);
    let head = std::str::from_utf8(&head).unwrap().lines().next().unwrap();
    let text = format!("{head}\n{lines}");
    let sha256 = crate::hexadecimal::hexadecimal(&sha2::Sha256::digest(&text));
    format!(
        "{text}{{\"type\":\"trailer\",\"message_states\":{message_states},\"thread_ownerships\":{thread_ownerships},\
         \"sha256\":\"{sha256}\"}}\n"
    )
}

#[test]
fn what_was_written_is_read() {
    for compression in [Compression::None, Compression::Zstd] {
        let (again, contents) = read(&written(&rows(), compression)).unwrap();
        assert_eq!(again, rows());
        assert_eq!((contents.message_states, contents.thread_ownerships, contents.header), (4, 1, header()));
        assert_eq!(read(&written(&[], compression)).unwrap().0, []);
    }
}

#[test]
fn it_is_one_json_object_a_line() {
    let text = String::from_utf8(written(&rows(), Compression::None)).unwrap();
    assert!(text.ends_with("}\n") && !text.contains('\r'));
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 7);
    assert_eq!((&lines[0]["format"], &lines[0]["version"]), (&"cofferdam-snapshot".into(), &1.into()));
    assert_eq!((&lines[1]["type"], &lines[1]["thread_id"]), (&"message_state".into(), &serde_json::Value::Null));
    assert_eq!((&lines[6]["message_states"], &lines[6]["thread_ownerships"]), (&4.into(), &1.into()));
}

#[test]
fn a_snapshot_cut_anywhere_is_truncated() {
    for compression in [Compression::None, Compression::Zstd] {
        let whole = written(&rows(), compression);
        for length in 0..whole.len() {
            match read(&whole[..length]) {
                Err(SnapshotError::NotSnapshot { .. }) if length == 0 => {}
                Err(SnapshotError::Truncated { line }) => assert!(line <= 7, "{length}"),
                other => panic!("{compression:?} cut at {length}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    for compression in [Compression::None, Compression::Zstd] {
        let whole = written(&rows(), compression);
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[place] ^= 1 << bit;
                match read(&damaged) {
                    Err(SnapshotError::Storage(_) | SnapshotError::Io { .. }) => panic!("byte {place}, bit {bit}"),
                    Err(_) => {}
                    // A frame of zstd has bits without a meaning. What counts is that the rows are right.
                    Ok((again, contents)) => {
                        assert_eq!(compression, Compression::Zstd, "byte {place}, bit {bit}");
                        assert_eq!((again, contents.header), (rows(), header()), "byte {place}, bit {bit}");
                    }
                }
            }
        }
    }
}

#[test]
fn lines_that_are_lost_doubled_or_exchanged_are_found() {
    let whole = String::from_utf8(written(&rows(), Compression::None)).unwrap();
    let lines: Vec<_> = whole.split_inclusive('\n').collect();
    let damaged = |change: &dyn Fn(&mut Vec<&str>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        match read(lines.concat().as_bytes()) {
            Err(SnapshotError::Corrupted { line, reason }) => (line, reason),
            other => panic!("{other:?}"),
        }
    };
    for place in 1..6 {
        let (line, reason) = damaged(&|lines| {
            lines.remove(place);
        });
        assert!(line == 6 && reason.starts_with("the trailer counts"), "{line}: {reason}");
        let (line, reason) = damaged(&|lines| lines.insert(place, lines[place]));
        assert!(line == place as u64 + 2 && reason.contains("does not come after"), "{line}: {reason}");
    }
    assert_eq!(damaged(&|lines| lines.swap(1, 2)).0, 3);
    assert_eq!(damaged(&|lines| lines.swap(4, 5)).0, 6);
    assert_eq!(damaged(&|lines| lines.insert(7, "\n")).1, "it comes after the trailer");
    assert_eq!(damaged(&|lines| lines.insert(7, "x")), (8, "it comes after the trailer".into()));
}

#[test]
fn lines_that_another_program_wrote_are_read() {
    let text = of_lines(
        "{ \"updated_at\": 3, \"type\": \"message_state\", \"channel_id\": \"\\u0061\", \"thread_id\": null,\
         \"last_message_id\": \"m\", \"last_seen_timestamp\": 1, \"created_at\": 2 }\n",
        1,
        0,
    );
    let expected = MessageState { created_at: 2, updated_at: 3, ..MessageState::new("a", None, "m", 1) };
    assert_eq!(read(text.as_bytes()).unwrap().0, [Row::State(expected)]);
}

#[test]
fn wrong_lines_are_named_without_their_values() {
    let state = |rest: &str| format!("{{\"type\":\"message_state\",\"channel_id\":\"secret\",{rest}}}\n");
    let times = "\"last_seen_timestamp\":1,\"created_at\":2,\"updated_at\":3";
    for (line, part) in [
        (state(&format!("\"last_message_id\":\"m\",{times}")), "missing field `thread_id`"),
        (state(&format!("\"thread_id\":null,\"last_message_id\":\"m\",{times},\"more\":1")), "unknown field `more`"),
        (state(&format!("\"thread_id\":null,\"thread_id\":null,\"last_message_id\":\"m\",{times}")), "duplicate field"),
        (state(&format!("\"thread_id\":7,\"last_message_id\":\"m\",{times}")), "wrong type"),
        (state(&format!("\"thread_id\":null,\"last_message_id\":\"m\",{times}9.5")), "wrong type"),
        (state(&format!("\"thread_id\":null,\"last_message_id\":\"m\",{times}{}", "9".repeat(30))), "wrong type"),
        ("{\"type\":\"secret\"}\n".into(), "wrong type"),
        ("\n".into(), "not JSON"),
        ("secret\n".into(), "not JSON"),
        (format!("\"{}\"\n", "x".repeat(1 << 20)), "longer than 1024 KiB"),
    ] {
        match read(of_lines(&line, 1, 0).as_bytes()) {
            Err(SnapshotError::Corrupted { line: 2, reason }) => {
                assert!(reason.contains(part) && !reason.contains("secret"), "{reason}");
            }
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_snapshot_is_told_from_what_was_one() {
    let reason = |bytes: &[u8]| match read(bytes) {
        Err(SnapshotError::NotSnapshot { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(b""), "it is empty");
    for bytes in
        [&b"\n"[..], b"hello\n", b"hello", b"{}\n", b"[1]\n", b"SQLite format 3\0", &[0; 4096], &[b'x'; 2 << 20]]
    {
        assert_eq!(reason(bytes), "its first line is not a snapshot's");
    }
    assert_eq!(reason(b"{\"format\":\"x\",\"version\":1}\n"), "its first line names another format");
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(b"hello\n").unwrap();
    assert_eq!(reason(&encoder.finish().unwrap()), "its first line is not a snapshot's");
}

#[test]
fn a_newer_version_is_told_whatever_else_it_says() {
    let first = "{\"format\":\"cofferdam-snapshot\",\"version\":2,\"what\":[\"we\",\"do not know\"]}\n";
    assert!(matches!(read(first.as_bytes()), Err(SnapshotError::NewerVersion { version: 2 })));
    let wrong = "{\"format\":\"cofferdam-snapshot\",\"version\":1,\"what\":[]}\n";
    assert!(matches!(read(wrong.as_bytes()), Err(SnapshotError::Corrupted { line: 1, .. })));
}

#[test]
fn rows_that_break_a_rule_are_counted() {
    let long = "x".repeat(256);
    let rows = [state("a", Some("")), state("b\0", None), state(&long, None), ownership(&"\u{1f980}".repeat(255))];
    let contents = verify(&written(&rows, Compression::None)[..]).unwrap();
    let lines: Vec<_> = contents.broken.first.iter().map(|(line, rule)| (*line, &rule[..20])).collect();
    assert_eq!(lines, [(2, "thread-id is empty: "), (3, "channel-id contains "), (4, "channel-id has 256 c")]);
    assert_eq!(contents.broken.count, 3);
    let many: Vec<_> = (0..30).map(|n| state(&format!("{n:02}"), Some(""))).collect();
    let broken = verify(&written(&many, Compression::None)[..]).unwrap().broken;
    assert_eq!((broken.count, broken.first.len()), (30, BrokenRules::SHOWN));
}
