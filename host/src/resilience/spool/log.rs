//! The write-ahead log of a damaged spool.
//!
//! SQLite believes in a log up to the first frame that is not as it was written, and forgets all that come after it. Those are
//! whole mostly, and hold writes that were accepted. <https://sqlite.org/fileformat2.html#the_write_ahead_log>

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::tables::PAGE;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const FRAME: usize = FRAME_HEADER + PAGE;

/// The lowest bit is set where checksums read words the other way round.
const MAGIC: u32 = 0x377f_0682;

/// Writes every frame that is whole into the file, whatever comes before it in the log.
pub(super) fn apply(log: &Path, file: &Path) -> io::Result<()> {
    let log = std::fs::read(log)?;
    let (Some(header), Some(first)) = (log.get(..HEADER), log.get(HEADER..HEADER + FRAME_HEADER)) else {
        return Ok(());
    };
    let is_header = word(header, 0) & !1 == MAGIC && {
        let sum = checksum((0, 0), &header[..24], word(header, 0));
        sum == (word(header, 24), word(header, 28))
    };
    // A header that is not as it was written tells nothing; frames of an earlier use of the file come after those of the last.
    let (magic, salts) = if is_header { (word(header, 0), &header[16..24]) } else { (MAGIC, &first[8..16]) };
    let mut before = (word(header, 24), word(header, 28));
    let file = OpenOptions::new().write(true).open(file)?;
    let frames = log[HEADER..].chunks_exact(FRAME);
    let pages = file.metadata()?.len() / PAGE as u64 + frames.len() as u64;
    for frame in frames {
        let (head, page) = frame.split_at(FRAME_HEADER);
        let sum = checksum(checksum(before, &head[..8], magic), page, magic);
        let said = (word(head, 16), word(head, 20));
        // Each sum goes on from the one before, so that the one after a damaged frame is right again.
        before = said;
        let number = u64::from(word(head, 0));
        if sum == said && &head[8..16] == salts && (1..=pages).contains(&number) {
            file.write_all_at(page, (number - 1) * PAGE as u64)?;
        }
    }
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn checksum(start: (u32, u32), bytes: &[u8], magic: u32) -> (u32, u32) {
    let read = |at: usize| {
        let word = word(bytes, at);
        if magic & 1 == 0 { word.swap_bytes() } else { word }
    };
    let mut sum = start;
    for at in (0..bytes.len()).step_by(8) {
        sum.0 = sum.0.wrapping_add(read(at)).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(read(at + 4)).wrapping_add(sum.0);
    }
    sum
}
