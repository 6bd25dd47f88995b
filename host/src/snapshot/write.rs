//! Writing a snapshot line by line.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::SnapshotError;
use super::format::{self, Header, Row, Trailer};
use super::progress::Progress;
use super::rules::BrokenRules;
use crate::hexadecimal::hexadecimal;

/// How a snapshot is compressed. Reading one tells by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By zstd at its usual level, with a checksum of its own.
    Zstd,
}

impl Compression {
    /// What a file's name asks for: zstd where it ends in `.zst`.
    pub fn of(path: &Path) -> Self {
        match path.extension() {
            Some(extension) if extension == "zst" => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Counts what reaches the file.
struct Counting<W> {
    inner: W,
    written: u64,
    progress: Arc<Progress>,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.written += written as u64;
        self.progress.add_bytes(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

enum Output<W: Write> {
    Plain(BufWriter<W>),
    Zstd(zstd::Encoder<'static, BufWriter<W>>),
}

impl<W: Write> Output<W> {
    fn new(out: W, compression: Compression) -> io::Result<Self> {
        let out = BufWriter::with_capacity(1 << 17, out);
        match compression {
            Compression::None => Ok(Self::Plain(out)),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                Ok(Self::Zstd(encoder))
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.write_all(bytes),
            Self::Zstd(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<W> {
        let mut out = match self {
            Self::Plain(out) => out,
            Self::Zstd(out) => out.finish()?,
        };
        out.flush()?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// What was written.
pub(super) struct Written {
    pub message_states: u64,
    pub thread_ownerships: u64,
    /// Of the lines before the trailer, in hexadecimal.
    pub sha256: String,
    /// As they are stored.
    pub bytes: u64,
    pub broken: BrokenRules,
}

/// Writes the header, then rows, then the trailer.
pub(super) struct Writer<W: Write> {
    out: Output<Counting<W>>,
    hash: Sha256,
    lines: Vec<u8>,
    message_states: u64,
    thread_ownerships: u64,
    broken: BrokenRules,
}

impl<W: Write> Writer<W> {
    pub fn new(
        out: W,
        compression: Compression,
        header: &Header,
        progress: Arc<Progress>,
    ) -> Result<Self, SnapshotError> {
        let mut writer = Self {
            out: Output::new(Counting { inner: out, written: 0, progress }, compression).map_err(cannot_write)?,
            hash: Sha256::new(),
            lines: Vec::new(),
            message_states: 0,
            thread_ownerships: 0,
            broken: BrokenRules::default(),
        };
        format::write_header(header, &mut writer.lines);
        writer.write_lines()?;
        Ok(writer)
    }

    /// Writes rows, which come after all that were written before.
    pub fn write(&mut self, rows: &[Row]) -> Result<(), SnapshotError> {
        for row in rows {
            match row {
                Row::State(_) => self.message_states += 1,
                Row::Ownership(_) => self.thread_ownerships += 1,
            }
            // The header is line 1.
            self.broken.keeps(1 + self.message_states + self.thread_ownerships, row);
            format::write_row(row, &mut self.lines);
        }
        self.write_lines()
    }

    /// Writes the trailer. A snapshot that was dropped before has none, and is not taken for a whole one.
    pub fn finish(mut self) -> Result<(W, Written), SnapshotError> {
        let sha256 = hexadecimal(&self.hash.finalize());
        let trailer = Trailer::new(self.message_states, self.thread_ownerships, sha256.clone());
        format::write_trailer(&trailer, &mut self.lines);
        self.out.write_all(&self.lines).map_err(cannot_write)?;
        let Counting { inner, written, .. } = self.out.finish().map_err(cannot_write)?;
        let written = Written {
            message_states: self.message_states,
            thread_ownerships: self.thread_ownerships,
            sha256,
            bytes: written,
            broken: self.broken,
        };
        Ok((inner, written))
    }

    fn write_lines(&mut self) -> Result<(), SnapshotError> {
        self.hash.update(&self.lines);
        self.out.write_all(&self.lines).map_err(cannot_write)?;
        self.lines.clear();
        Ok(())
    }
}

pub(super) fn cannot_write(error: io::Error) -> SnapshotError {
    SnapshotError::io("the snapshot cannot be written", error)
}
