//! Content codings of OTLP: bounded decompression for the server, compression for the client.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Write};

use flate2::Compression;

use super::admission::{Refusal, Reservation};

/// A content coding. Reading `Snappy` also takes the framed form; writing keeps them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    Identity,
    Gzip,
    Zstd,
    /// Zlib-wrapped; HTTP also calls it deflate.
    Zlib,
    Snappy,
    SnappyFramed,
    Lz4,
}

/// First bytes of snappy's framing format.
const SNAPPY_STREAM: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// Decompression starts with at most this many times the compressed size.
const FIRST_GUESS: usize = 32;
const CHUNK: usize = 64 * 1024;

impl Coding {
    /// The coding of a `Content-Encoding` header.
    pub fn from_http(name: &str) -> Option<Self> {
        Some(match name {
            "" | "identity" | "none" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            "zstd" => Self::Zstd,
            "zlib" | "deflate" => Self::Zlib,
            "snappy" => Self::Snappy,
            "x-snappy-framed" => Self::SnappyFramed,
            "lz4" => Self::Lz4,
            _ => return None,
        })
    }

    /// The coding of a `grpc-encoding` header; snappy is framed there.
    pub fn from_grpc(name: &str) -> Option<Self> {
        Some(match name {
            "" | "identity" => Self::Identity,
            "gzip" => Self::Gzip,
            "zstd" => Self::Zstd,
            "snappy" => Self::SnappyFramed,
            _ => return None,
        })
    }

    /// What a header calls it; the same over HTTP and gRPC, where snappy is framed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Zlib => "deflate",
            Self::Snappy => "snappy",
            Self::SnappyFramed => "x-snappy-framed",
            Self::Lz4 => "lz4",
        }
    }
}

/// Level when none is given: on spans a twentieth larger than the usual level 6, at 60 % of the
/// cost; level 2 costs the same and is larger.
const DEFLATE_LEVEL: u32 = 3;
/// Level when none is given: on spans a twentieth larger than the usual level 3, at two thirds.
const ZSTD_LEVEL: i32 = 1;

thread_local! {
    // Making a context costs as much as compressing a small body.
    static ZSTD: RefCell<zstd::bulk::Compressor<'static>> = RefCell::default();
    static UNZSTD: RefCell<zstd::bulk::Decompressor<'static>> = RefCell::default();
}

/// Why a body could not be decompressed.
#[derive(Debug)]
pub enum DecompressError {
    /// More than the limit comes out.
    TooLarge,
    Malformed(String),
    Refused(Refusal),
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("is too large after decompression"),
            Self::Malformed(reason) => write!(f, "cannot be decompressed: {reason}"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

/// Decompress to at most `limit` bytes, reserving what comes out as it grows. No bytes are no
/// bytes in every coding.
pub fn decompress(
    coding: Coding,
    data: &[u8],
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, DecompressError> {
    if data.is_empty() {
        return Ok(Vec::new());
    }
    match coding {
        Coding::Identity => read_all(data, data.len(), limit, reservation),
        Coding::Gzip => {
            let hint = data.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
            let hint = guess(hint as usize, data.len());
            read_all(flate2::bufread::MultiGzDecoder::new(data), hint, limit, reservation)
        }
        Coding::Zlib => {
            let hint = guess(data.len().saturating_mul(4), data.len());
            read_all(flate2::bufread::ZlibDecoder::new(data), hint, limit, reservation)
        }
        Coding::Zstd => {
            let size = zstd::zstd_safe::get_frame_content_size(data).ok().flatten();
            let hint = size.map_or(data.len().saturating_mul(4), |size| size as usize);
            if size.is_some() && hint <= limit && hint == guess(hint, data.len()) {
                reservation.grow_to(hint).map_err(DecompressError::Refused)?;
                let whole = UNZSTD.with_borrow_mut(|unzstd| unzstd.decompress(data, hint));
                // Several frames do not fit, and what is malformed is told of below.
                if let Ok(out) = whole {
                    return Ok(out);
                }
            }
            let decoder = zstd::stream::read::Decoder::with_buffer(data).map_err(malformed)?;
            read_all(decoder, guess(hint, data.len()), limit, reservation)
        }
        Coding::Snappy | Coding::SnappyFramed if data.starts_with(SNAPPY_STREAM) => {
            let hint = guess(data.len().saturating_mul(3), data.len());
            read_all(snap::read::FrameDecoder::new(data), hint, limit, reservation)
        }
        Coding::Snappy | Coding::SnappyFramed => snappy_block(data, limit, reservation),
        Coding::Lz4 => {
            let hint = guess(data.len().saturating_mul(3), data.len());
            read_all(lz4_flex::frame::FrameDecoder::new(data), hint, limit, reservation)
        }
    }
}

/// Bound what the sender says about the size by what the compressed size makes likely.
fn guess(said: usize, compressed: usize) -> usize {
    said.min(compressed.saturating_mul(FIRST_GUESS))
}

fn malformed(error: impl fmt::Display) -> DecompressError {
    DecompressError::Malformed(error.to_string())
}

fn snappy_block(
    data: &[u8],
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, DecompressError> {
    let length = snap::raw::decompress_len(data).map_err(malformed)?;
    if length > limit {
        return Err(DecompressError::TooLarge);
    }
    // Sixty-four bytes are the most that a three-byte copy can stand for.
    if length > data.len().saturating_mul(64) {
        return Err(DecompressError::Malformed("its length is a lie".into()));
    }
    reservation.grow_to(length).map_err(DecompressError::Refused)?;
    snap::raw::Decoder::new().decompress_vec(data).map_err(malformed)
}

fn read_all(
    mut reader: impl Read,
    hint: usize,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, DecompressError> {
    let mut out: Vec<u8> = Vec::new();
    let mut filled = 0;
    // One more, so that a right guess ends without growing.
    let mut size = hint.min(limit) + 1;
    loop {
        if filled == out.len() {
            // One byte above the limit tells "exactly the limit" from "more".
            size = size.max(filled + CHUNK.min(filled.max(1024))).min(limit + 1);
            if size <= filled {
                return Err(DecompressError::TooLarge);
            }
            reservation.grow_to(size).map_err(DecompressError::Refused)?;
            // No more than was reserved, as growing by itself would take.
            out.reserve_exact(size - filled);
            out.resize(size, 0);
            size = size.saturating_mul(2);
        }
        match reader.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(malformed(error)),
        }
        if filled > limit {
            return Err(DecompressError::TooLarge);
        }
    }
    out.truncate(filled);
    Ok(out)
}

/// How to compress what goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressor {
    pub coding: Coding,
    /// The coding's own scale; its usual level when not given.
    pub level: Option<i32>,
}

impl Compressor {
    /// Compress a whole body. Takes time in proportion to it: not for an I/O thread.
    pub fn compress(&self, data: &[u8]) -> io::Result<Vec<u8>> {
        let out = Vec::with_capacity(data.len() / 4 + 64);
        match self.coding {
            Coding::Identity => Ok(data.to_vec()),
            Coding::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(out, self.deflate());
                writer.write_all(data)?;
                writer.finish()
            }
            Coding::Zlib => {
                let mut writer = flate2::write::ZlibEncoder::new(out, self.deflate());
                writer.write_all(data)?;
                writer.finish()
            }
            Coding::Zstd => ZSTD.with_borrow_mut(|zstd| {
                zstd.set_compression_level(self.level.unwrap_or(ZSTD_LEVEL))?;
                zstd.compress(data)
            }),
            Coding::Snappy => {
                snap::raw::Encoder::new().compress_vec(data).map_err(io::Error::other)
            }
            Coding::SnappyFramed => {
                let mut writer = snap::write::FrameEncoder::new(out);
                writer.write_all(data)?;
                writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
            }
            Coding::Lz4 => {
                let mut writer = lz4_flex::frame::FrameEncoder::new(out);
                writer.write_all(data)?;
                writer.finish().map_err(io::Error::other)
            }
        }
    }

    fn deflate(&self) -> Compression {
        match self.level {
            Some(level @ 0..=9) => Compression::new(level as u32),
            _ => Compression::new(DEFLATE_LEVEL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edges::admission::Admission;

    const ALL: [Coding; 7] = [
        Coding::Identity,
        Coding::Gzip,
        Coding::Zstd,
        Coding::Zlib,
        Coding::Snappy,
        Coding::SnappyFramed,
        Coding::Lz4,
    ];

    fn sample(length: usize) -> Vec<u8> {
        (0..length).map(|i| ((i * i) >> 5) as u8 & 0x1f).collect()
    }

    fn run(coding: Coding, data: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
        let admission: &'static Admission = Box::leak(Box::new(Admission::new()));
        let mut reservation = admission.count(0);
        let result = decompress(coding, data, limit, &mut reservation);
        if let Ok(out) = &result {
            assert!(reservation.bytes() >= out.len());
        }
        result
    }

    #[test]
    fn what_goes_in_comes_out() {
        for coding in ALL {
            for length in [0, 1, 1000, 65_536, 300_001] {
                let data = sample(length);
                let packed = Compressor { coding, level: None }.compress(&data).unwrap();
                assert_eq!(run(coding, &packed, length).unwrap(), data, "{coding:?} {length}");
            }
        }
    }

    #[test]
    fn both_snappy_forms_are_read_under_either_name() {
        let data = sample(1000);
        for (written, read) in
            [(Coding::Snappy, Coding::SnappyFramed), (Coding::SnappyFramed, Coding::Snappy)]
        {
            let packed = Compressor { coding: written, level: None }.compress(&data).unwrap();
            assert_eq!(run(read, &packed, 1000).unwrap(), data);
        }
    }

    #[test]
    fn more_than_the_limit_is_an_error() {
        for coding in ALL {
            let packed = Compressor { coding, level: None }.compress(&sample(100_000)).unwrap();
            assert!(
                matches!(run(coding, &packed, 99_999), Err(DecompressError::TooLarge)),
                "{coding:?}"
            );
        }
    }

    #[test]
    fn a_bomb_reserves_no_more_than_its_limit() {
        let admission: &'static Admission = Box::leak(Box::new(Admission::new()));
        let bomb = Compressor { coding: Coding::Gzip, level: Some(9) }
            .compress(&vec![0; 50_000_000])
            .unwrap();
        let mut reservation = admission.count(0);
        let result = decompress(Coding::Gzip, &bomb, 1_000_000, &mut reservation);
        assert!(matches!(result, Err(DecompressError::TooLarge)));
        assert!(reservation.bytes() <= 1_000_001);
        admission.set_limit(Some(500_000));
        let mut reservation = admission.count(0);
        let result = decompress(Coding::Gzip, &bomb, 1_000_000, &mut reservation);
        assert!(matches!(result, Err(DecompressError::Refused(_))));
        assert!(reservation.bytes() <= 500_000);
    }

    #[test]
    fn cut_and_mutated_input_is_an_error_or_bytes_but_never_a_panic() {
        for coding in ALL {
            let packed = Compressor { coding, level: None }.compress(&sample(5000)).unwrap();
            for cut in 0..packed.len().min(400) {
                let _ = run(coding, &packed[..cut], 10_000);
                let mut mutated = packed.clone();
                mutated[cut] ^= 0x41;
                let _ = run(coding, &mutated, 10_000);
            }
        }
        for coding in [Coding::Gzip, Coding::Zlib, Coding::Zstd, Coding::Lz4] {
            let packed = Compressor { coding, level: None }.compress(&sample(5000)).unwrap();
            let cut = run(coding, &packed[..packed.len() / 2], 10_000);
            assert!(matches!(cut, Err(DecompressError::Malformed(_))), "{coding:?} {cut:?}");
        }
    }

    #[test]
    fn a_level_is_obeyed() {
        let data = sample(200_000);
        for coding in [Coding::Gzip, Coding::Zlib, Coding::Zstd] {
            let fast = Compressor { coding, level: Some(1) }.compress(&data).unwrap();
            let best = Compressor { coding, level: Some(9) }.compress(&data).unwrap();
            assert_ne!(fast, best, "{coding:?}");
        }
    }
}
