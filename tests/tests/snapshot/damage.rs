//! A file that is not as it was written changes nothing.

use anyhow::Result;
use cofferdam_tests::harness::command::{on, run, run_wrong};
use cofferdam_tests::harness::seed;
use cofferdam_tests::harness::storage::Home;

use crate::{Rows, assert_same, empty_homes, file_named, text};

/// Places that are tried in each file, on each backend.
const PLACES: usize = 12;

struct Case {
    _folder: tempfile::TempDir,
    file: std::path::PathBuf,
    whole: Vec<u8>,
    rows: Rows,
    homes: [Home; 2],
    before: Rows,
}

impl Case {
    async fn new(name: &str) -> Result<Self> {
        let (folder, file) = file_named(name)?;
        let from = Home::sqlite()?;
        let rows = Rows::numbered(5_000, 3_000);
        rows.write(&from).await?;
        run(&mut on(&from, &["export", text(&file)]), 0);
        let homes = empty_homes().await?;
        let before = Rows { states: rows.states[10..20].to_vec(), ownerships: rows.ownerships[..5].to_vec() };
        for home in &homes {
            before.write(home).await?;
        }
        Ok(Self { _folder: folder, whole: std::fs::read(&file)?, file, rows, homes, before })
    }

    async fn assert_nothing_changed(&self) -> Result<()> {
        for home in &self.homes {
            assert_same(&Rows::of(home).await?, &self.before);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_changes_nothing() -> Result<()> {
    let mut random = seed::random()?;
    for name in ["backup.ndjson", "backup.ndjson.zst"] {
        let case = Case::new(name).await?;
        let length = case.whole.len() as u64;
        // In the header, at ends of lines, in rows, in the trailer, just before the end.
        let mut places = vec![1, 3, 20, length - 1, length - 2, length - 20, length - 100];
        let newlines: Vec<_> = (0..length).filter(|place| case.whole[*place as usize] == b'\n').collect();
        places.extend((0..PLACES).map(|_| 1 + random.u64(..length - 1)));
        places.extend((0..3).map(|_| newlines[random.u64(..newlines.len() as u64 - 1) as usize] + 1));
        for place in places {
            std::fs::write(&case.file, &case.whole[..place as usize])?;
            for home in &case.homes {
                run_wrong(&mut on(home, &["import", text(&case.file)]), 8, &[text(&case.file), "truncated"]);
            }
        }
        std::fs::write(&case.file, [])?;
        run_wrong(&mut on(&case.homes[0], &["import", text(&case.file)]), 2, &["not a snapshot", "empty"]);
        case.assert_nothing_changed().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_changes_nothing() -> Result<()> {
    let mut random = seed::random()?;
    for name in ["backup.ndjson", "backup.ndjson.zst"] {
        let case = Case::new(name).await?;
        let mut expected = [&case.before, &case.before];
        for _ in 0..2 * PLACES {
            let (place, bit) = (random.u64(..case.whole.len() as u64) as usize, random.u64(..8));
            let mut damaged = case.whole.clone();
            damaged[place] ^= 1 << bit;
            std::fs::write(&case.file, &damaged)?;
            for (home, expected) in case.homes.iter().zip(&mut expected) {
                let output = on(home, &["import", text(&case.file)]).output()?;
                let (code, stderr) = (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned());
                let flip = format!("{name}, byte {place}, bit {bit}: {code:?} {stderr}");
                if code == Some(0) && name.ends_with("zst") {
                    // A few bits of a zstd frame have no meaning; then all rows are right.
                    println!("{flip} means nothing");
                    *expected = &case.rows;
                    continue;
                }
                // The header's name and version may become another's.
                let in_header = place < 50;
                assert!(code == Some(8) || (in_header && code == Some(2)), "{flip}");
                assert_eq!(stderr.lines().count(), 1, "{flip}");
                assert!(stderr.contains(text(&case.file)), "{flip}");
                assert!(code == Some(2) || stderr.contains(" line ") || stderr.contains("truncated"), "{flip}");
            }
        }
        for (home, expected) in case.homes.iter().zip(expected) {
            assert_same(&Rows::of(home).await?, expected);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_line_is_named() -> Result<()> {
    let case = Case::new("backup.ndjson").await?;
    let whole = String::from_utf8(case.whole.clone())?;
    let lines: Vec<_> = whole.split_inclusive('\n').collect();
    let home = &case.homes[0];
    for (change, parts) in [
        // A value that reads well is found by the checksum, which only the trailer can tell.
        (4001, &["line 8002 is corrupted", "checksum"][..]),
        (17, &["line 8002 is corrupted", "checksum"]),
    ] {
        let mut lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        lines[change - 1] = lines[change - 1].replacen("_id\":\"m", "_id\":\"n", 1);
        std::fs::write(&case.file, lines.concat())?;
        run_wrong(&mut on(home, &["import", text(&case.file)]), 8, parts);
    }
    let mut broken: Vec<_> = lines.clone();
    broken[99] = "{\"type\":\"message_state\",\"channel_id\":7}\n";
    std::fs::write(&case.file, broken.concat())?;
    run_wrong(&mut on(home, &["import", text(&case.file)]), 8, &["line 100 is corrupted", "wrong type"]);
    // What a file makes a message say stays in its line.
    broken[99] = "{\"type\":\"message_state\",\"a\\nb\":7}\n";
    std::fs::write(&case.file, broken.concat())?;
    run_wrong(&mut on(home, &["import", text(&case.file)]), 8, &["line 100 is corrupted", "`a\\nb`"]);
    let mut lost: Vec<_> = lines.clone();
    lost.remove(99);
    std::fs::write(&case.file, lost.concat())?;
    run_wrong(&mut on(home, &["import", text(&case.file)]), 8, &["line 8001 is corrupted", "counts 5000 states"]);
    std::fs::write(&case.file, [&whole, "more\n"].concat())?;
    run_wrong(&mut on(home, &["import", text(&case.file)]), 8, &["line 8003", "after the trailer"]);
    case.assert_nothing_changed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_is_refused() -> Result<()> {
    let case = Case::new("backup.ndjson").await?;
    let newer = String::from_utf8(case.whole.clone())?.replacen("\"version\":1", "\"version\":2", 1);
    std::fs::write(&case.file, newer)?;
    let parts = [text(&case.file), "format version 2", "up to version 1", "update cofferdam"];
    run_wrong(&mut on(&case.homes[1], &["import", text(&case.file)]), 2, &parts);
    case.assert_nothing_changed().await
}
