//! Compression of a connection: one context from its first frame to its last.

use std::io::{self, Write};

use axum::extract::ws::Message;
use flate2::Compression;
use flate2::write::ZlibEncoder;

/// How frames are written.
pub(crate) enum Codec {
    Plain,
    Zlib(ZlibEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Codec {
    /// The codec that a client asked for with `compress`, if it is known.
    pub(crate) fn new(compress: Option<&str>) -> Option<Self> {
        Some(match compress {
            None | Some("") => Self::Plain,
            Some("zlib-stream") => Self::Zlib(ZlibEncoder::new(Vec::new(), Compression::fast())),
            Some("zstd-stream") => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 1).ok()?),
            Some(_) => return None,
        })
    }

    /// One frame. A flush ends it, so that the client can read it before the next.
    pub(crate) fn encode(&mut self, text: &str) -> io::Result<Message> {
        let bytes = match self {
            Self::Plain => return Ok(Message::Text(text.into())),
            Self::Zlib(encoder) => {
                encoder.write_all(text.as_bytes())?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                encoder.write_all(text.as_bytes())?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
        };
        Ok(Message::Binary(bytes.into()))
    }
}
