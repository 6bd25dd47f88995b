//! Rows as hosts send them.

use super::*;

fn integers(all: &[i64]) -> Vec<u8> {
    all.iter().flat_map(|integer| integer.to_le_bytes()).collect()
}

fn offsets(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|offset| offset.to_le_bytes()).collect()
}

/// Columns, each a kind and its bytes.
fn rows(count: u32, columns: &[(u8, Vec<u8>)], text: &str) -> Rows {
    let mut packed: Vec<u8> = columns.iter().map(|(kind, _)| *kind).collect();
    packed.extend(columns.iter().flat_map(|(_, bytes)| bytes));
    Rows { count, columns: u32::try_from(columns.len()).unwrap(), packed, text: text.to_owned() }
}

fn three() -> Vec<(u8, Vec<u8>)> {
    vec![
        (0, integers(&[1, 2, 3])),
        (2, offsets(&[0, 1, 3, 6])),
        (130, [vec![0b010], offsets(&[0, 1, 1, 3])].concat()),
        (2, offsets(&[0, 1, 2, 3])),
        (0, integers(&[4, 5, 6])),
        (0, integers(&[7, 8, 9])),
        (0, integers(&[10, 11, 12])),
    ]
}

/// Three states, the second without a thread.
fn three_states() -> Rows {
    rows(3, &three(), "abbcccxzz123")
}

fn failure<T: std::fmt::Debug>(result: Result<T>) -> (ErrorKind, String) {
    match result {
        Err(Failure::Own(error)) => (error.kind, error.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn columns_are_split() {
    let states = message_states(&three_states()).unwrap();
    assert_eq!(states.ids, [1, 2, 3]);
    assert_eq!(
        (states.channel_ids.offsets.as_slice(), states.channel_ids.text.as_str()),
        (&[0, 1, 3, 6][..], "abbccc")
    );
    assert_eq!((states.thread_ids.offsets.as_slice(), states.thread_ids.text.as_str()), (&[0, 1, 1, 3][..], "xzz"));
    assert_eq!(states.threadless, [1]);
    assert_eq!(states.last_message_ids.text, "123");
    assert_eq!(states.last_seen_timestamps, [4, 5, 6]);
    assert_eq!(states.created_ats, [7, 8, 9]);
    assert_eq!(states.updated_ats, [10, 11, 12]);
}

#[test]
fn no_rows_are_no_states_though_every_column_is_an_integer_one() {
    let states = message_states(&rows(0, &vec![(0, vec![]); 7], "")).unwrap();
    assert!(states.ids.is_empty() && states.threadless.is_empty());
    assert_eq!(states.channel_ids.offsets, [0]);
    assert_eq!(states.thread_ids.offsets, [0]);
}

#[test]
fn threads_that_are_all_none_are_an_integer_column() {
    let mut columns = three();
    columns[2] = (128, [vec![0b111], integers(&[0, 0, 0])].concat());
    let states = message_states(&rows(3, &columns, "abbccc123")).unwrap();
    assert_eq!(states.threadless, [0, 1, 2]);
    assert_eq!((states.thread_ids.offsets.as_slice(), states.thread_ids.text.as_str()), (&[0, 0, 0, 0][..], ""));
    assert_eq!(states.last_seen_timestamps, [4, 5, 6]);
}

#[test]
fn a_null_in_another_column_is_corrupt() {
    for (column, name) in [(1, "channel_id"), (6, "updated_at")] {
        let mut columns = three();
        columns[column].0 |= 128;
        columns[column].1.insert(0, 0b100);
        let (kind, message) = failure(message_states(&rows(3, &columns, "abbcccxzz123")));
        assert_eq!(kind, ErrorKind::CorruptData);
        let expected = format!("column {name} of message_states contains a null where ");
        assert!(message.starts_with(&expected) && message.contains(" in the row with id 3: "), "{message}");
    }
}

#[test]
fn a_column_of_another_kind_is_corrupt() {
    for (kind, bytes) in [(1, integers(&[0, 0, 0])), (3, [offsets(&[0, 1, 2, 3]), vec![0; 3]].concat())] {
        let rows = rows(3, &[(kind, bytes)], "");
        assert_eq!(failure(Reader::new("t", &rows).next("id").unwrap().integers()).0, ErrorKind::CorruptData);
    }
    let mut columns = three();
    columns[1] = (0, integers(&[1, 2, 3]));
    let (kind, message) = failure(message_states(&rows(3, &columns, "xzz123")));
    assert_eq!((kind, message.contains("channel_id")), (ErrorKind::CorruptData, true));
}

fn mixed(cells: &[&[u8]]) -> Rows {
    let mut ends = vec![0];
    for cell in cells {
        ends.push(ends.last().unwrap() + u32::try_from(cell.len()).unwrap());
    }
    rows(u32::try_from(cells.len()).unwrap(), &[(4, [offsets(&ends), cells.concat()].concat())], "")
}

#[test]
fn a_mixed_column_is_read_cell_by_cell() {
    let seven = [1, 7, 0, 0, 0, 0, 0, 0, 0];
    let rows = mixed(&[b"\x03ab", &[0], b"\x03"]);
    let (texts, nulls) = Reader::new("t", &rows).next("c").unwrap().optional_texts().unwrap();
    assert_eq!((texts.text.as_str(), texts.offsets, nulls), ("ab", vec![0, 2, 2, 2], vec![1]));
    assert_eq!(Reader::new("t", &mixed(&[&seven])).next("c").unwrap().integers().unwrap(), [7]);
    let rows = mixed(&[&seven, b"\x03seven"]);
    let (kind, message) = failure(Reader::new("t", &rows).next("c").unwrap().integers());
    assert_eq!((kind, message.contains("column c of t")), (ErrorKind::CorruptData, true));
    assert_eq!(failure(Reader::new("t", &rows).next("c").unwrap().texts()).0, ErrorKind::CorruptData);
}

#[test]
fn what_is_wrong_and_in_which_row_is_said_without_the_value() {
    let seven = [1, 7, 0, 0, 0, 0, 0, 0, 0];
    let real = [2, 0, 0, 0, 0, 0, 0, 0, 0];
    let ids = |cells: &[&[u8]], wrong: &[&[u8]]| {
        let packed = |cells: &[&[u8]]| mixed(cells).packed.split_off(1);
        let count = u32::try_from(cells.len()).unwrap();
        rows(count, &[(4, packed(cells)), (4, packed(wrong))], "")
    };
    for (cell, words) in [
        (&b"\x03secret"[..], "a text where an integer belongs"),
        (b"\x04\xff", "a blob, or text that is not UTF-8, where an integer belongs"),
        (&real, "a real number where an integer belongs"),
        (&[0], "a null where an integer belongs"),
    ] {
        let rows = ids(&[&[1, 9, 0, 0, 0, 0, 0, 0, 0], &seven], &[&seven, cell]);
        let mut reader = Reader::new("t", &rows);
        reader.next("id").unwrap();
        let (kind, message) = failure(reader.next("c").unwrap().integers());
        assert_eq!(kind, ErrorKind::CorruptData);
        assert!(message.starts_with(&format!("column c of t contains {words} in the row with id 7: ")), "{message}");
        assert!(message.contains("WHERE id = 7") && !message.contains("secret"), "{message}");
    }
    let rows = ids(&[&[0]], &[b"\x03x"]);
    let mut reader = Reader::new("t", &rows);
    assert!(failure(reader.next("id").unwrap().integers()).1.contains("in a row without an integer id"));
    assert!(failure(reader.next("c").unwrap().integers()).1.contains("in a row without an integer id"));
}

#[test]
fn a_result_that_is_too_short_is_the_hosts_mistake() {
    let mut rows = three_states();
    rows.packed.pop();
    assert_eq!(failure(message_states(&rows)).0, ErrorKind::Internal);
    let mut rows = three_states();
    rows.text.pop();
    assert_eq!(failure(message_states(&rows)).0, ErrorKind::Internal);
    let mut rows = three_states();
    rows.columns = 1_000;
    assert_eq!(failure(message_states(&rows)).0, ErrorKind::Internal);
    let mut rows = three_states();
    rows.packed[0] = 5;
    assert_eq!(failure(message_states(&rows)).0, ErrorKind::Internal);
}

#[test]
fn one_cell_is_read_by_its_row() {
    let rows = three_states();
    let mut reader = Reader::new("message_states", &rows);
    assert_eq!(reader.next("id").unwrap().integer(2).unwrap(), 3);
    assert_eq!(reader.next("channel_id").unwrap().text(1).unwrap(), "bb");
    let threads = reader.next("thread_id").unwrap();
    assert_eq!([threads.optional_text(0).unwrap(), threads.optional_text(1).unwrap()], [Some("x"), None]);
    assert!(threads.text(1).is_err() && threads.text(3).is_err());
}
