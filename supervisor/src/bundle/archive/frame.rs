//! One frame of Zstandard, RFC 8878, and nothing around it.

use std::io::{self, BufReader, Chain, Cursor, Read};

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::ArchiveError;
use super::read::Blocks;

const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// Memory that decoding may take: what RFC 8878 asks every decoder to support at least.
const MAX_WINDOW: u64 = 8 << 20;

/// An archive may grow to this many times its size.
const MAX_RATIO: u64 = 200;
/// Growth up to here is nobody's harm: 64 MiB.
const FREE: u64 = 64 << 20;

type Start<R> = Chain<Cursor<[u8; 4]>, BufReader<R>>;

/// Compressed bytes, and what became of reading them.
struct Counted<R> {
    inner: R,
    read: u64,
    ended: bool,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(length) => {
                self.ended |= length == 0 && !buffer.is_empty();
                self.read = self.read.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// What an archive decompresses to.
pub struct Frame<R: Read> {
    source: Counted<Start<R>>,
    decoder: FrameDecoder,
    given: u64,
}

impl<R: Read> Frame<R> {
    /// Reads the frame's header.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn open(source: R) -> Result<Self, ArchiveError> {
        let mut source = BufReader::with_capacity(64 << 10, source);
        let mut magic = [0; 4];
        match source.read_exact(&mut magic) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(ArchiveError::NotZstd);
            }
            Err(source) => return Err(ArchiveError::Read { source }),
        }
        if magic != MAGIC {
            return Err(if is_skippable(magic) {
                ArchiveError::SkippableFrame
            } else {
                ArchiveError::NotZstd
            });
        }
        let inner = Cursor::new(magic).chain(source);
        let source = Counted { inner, read: 0, ended: false, failed: None };
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        let mut frame = Self { source, decoder, given: 0 };
        let begun = frame.decoder.init(&mut frame.source);
        begun.map_err(|error| frame.refused(&error))?;
        Ok(frame)
    }

    /// Why the decoder gave up: what it was given, or what it made of it.
    fn refused(&mut self, error: &FrameDecoderError) -> ArchiveError {
        if let Some(source) = self.source.failed.take() {
            return ArchiveError::Read { source };
        }
        if self.source.ended {
            return ArchiveError::Truncated;
        }
        match error {
            FrameDecoderError::WindowSizeTooBig { .. } => ArchiveError::WindowTooLarge,
            FrameDecoderError::DictNotProvided { .. } => ArchiveError::Dictionary,
            other => ArchiveError::Corrupt { reason: other.to_string() },
        }
    }
}

fn is_skippable(magic: [u8; 4]) -> bool {
    magic[0] & 0xf0 == 0x50 && magic[1..] == [0x2a, 0x4d, 0x18]
}

impl<R: Read> Blocks for Frame<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ArchiveError> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            if let Err(error) = self.decoder.decode_blocks(&mut self.source, one) {
                return Err(self.refused(&error));
            }
        }
        let length = self.decoder.read(into);
        let length = length.map_err(|error| ArchiveError::Corrupt { reason: error.to_string() })?;
        self.given = self.given.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if self.given > FREE && self.given / MAX_RATIO > self.source.read {
            return Err(ArchiveError::Bomb);
        }
        Ok(length)
    }

    fn finish(&mut self) -> Result<(), ArchiveError> {
        let mut next = Vec::with_capacity(4);
        let read = (&mut self.source).take(4).read_to_end(&mut next);
        read.map_err(|source| ArchiveError::Read { source })?;
        match <[u8; 4]>::try_from(next.as_slice()) {
            _ if next.is_empty() => Ok(()),
            Ok(magic) if magic == MAGIC || is_skippable(magic) => Err(ArchiveError::SecondFrame),
            _ => Err(ArchiveError::TrailingBytes),
        }
    }
}
