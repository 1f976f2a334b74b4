//! Fuzzing of decompression: never more than the limit, never more than was reserved.

use super::admission::{Admission, Reservation};
use super::compress::{self, Coding, Compressor, DecompressError};

const CODINGS: [Coding; 7] = [
    Coding::Identity,
    Coding::Gzip,
    Coding::Zstd,
    Coding::Zlib,
    Coding::Snappy,
    Coding::SnappyFramed,
    Coding::Lz4,
];

static BUDGET: Admission = Admission::new();

fn bounded(coding: Coding, data: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    let mut reservation: Reservation = BUDGET.count(0);
    let result = compress::decompress(coding, data, limit, &mut reservation);
    assert!(reservation.bytes() <= limit + 1);
    if let Ok(out) = &result {
        assert!(out.len() <= limit && out.capacity() <= reservation.bytes().max(64));
    }
    result
}

pub fn decompress(input: &[u8]) {
    let Some((steer, data)) = input.split_first_chunk::<2>() else { return };
    let coding = CODINGS[usize::from(steer[0]) % CODINGS.len()];
    let limit = 1 << (steer[1] % 21);
    match bounded(coding, data, limit) {
        Ok(out) => {
            let roomy = bounded(coding, data, 2 * limit).expect("it fitted into less");
            assert_eq!(out, roomy);
            let exact = bounded(coding, data, out.len()).expect("it is as long as that");
            assert_eq!(out, exact);
            if let Some(less) = out.len().checked_sub(1) {
                assert!(matches!(bounded(coding, data, less), Err(DecompressError::TooLarge)));
            }
        }
        Err(DecompressError::TooLarge) => {}
        Err(DecompressError::Malformed(reason)) => assert!(!reason.is_empty()),
        Err(DecompressError::Refused(refusal)) => panic!("{refusal}"),
    }
    let packed = Compressor { coding, level: None }.compress(data).expect("memory is a sink");
    assert_eq!(bounded(coding, &packed, data.len()).expect("it was compressed here"), data);
}
