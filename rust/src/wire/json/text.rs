//! Bytes as text: lower-case hex for ids, standard base64 for all else.

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Append two lower-case digits a byte.
pub fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// Append the bytes that the digits of either case spell; None leaves `out` as it was.
pub fn read_hex(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    for pair in text.chunks(2) {
        let [high, low] = pair else {
            out.truncate(start);
            return None;
        };
        let Some((high, low)) = hex_digit(*high).zip(hex_digit(*low)) else {
            out.truncate(start);
            return None;
        };
        out.push(high << 4 | low);
    }
    Some(())
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Append base64 with padding.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for position in 0..4 {
            if position <= group.len() {
                out.push(BASE64[(bits >> (18 - 6 * position) & 63) as usize]);
            } else {
                out.push(b'=');
            }
        }
    }
}

/// Append the bytes of standard or URL-safe base64, padded or not; None leaves `out` as it was.
pub fn read_base64(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if padding > 0 && (padding > 2 || !text.len().is_multiple_of(4)) || digits.len() % 4 == 1 {
        return None;
    }
    let start = out.len();
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for byte in group {
            let Some(digit) = base64_digit(*byte) else {
                out.truncate(start);
                return None;
            };
            bits = bits << 6 | u32::from(digit);
        }
        bits <<= 6 * (4 - group.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(())
}

fn base64_digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Append a JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&bytes[copied..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            out.extend_from_slice(b"00");
            write_hex(&[*byte], out);
        }
        copied = at + 1;
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

/// Append the shortest digits that read back as this number; NaN and the infinities as strings.
pub fn write_double(value: f64, out: &mut Vec<u8>) {
    use std::io::Write;
    let magnitude = value.abs();
    // Writing to a Vec cannot fail.
    let _ = if value.is_nan() {
        out.write_all(b"\"NaN\"")
    } else if value.is_infinite() {
        out.write_all(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" })
    } else if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(value: f64) -> String {
        let mut out = Vec::new();
        write_double(value, &mut out);
        String::from_utf8(out).expect("digits are ASCII")
    }

    #[test]
    fn base64_of_every_length_reads_back_padded_and_not() {
        for length in 0..20u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(83)).collect();
            let mut text = Vec::new();
            write_base64(&bytes, &mut text);
            assert_eq!(text.len() % 4, 0);
            let bare: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'=').collect();
            for form in [text, bare] {
                let mut back = Vec::new();
                assert_eq!(read_base64(&form, &mut back), Some(()));
                assert_eq!(back, bytes);
            }
        }
    }

    #[test]
    fn what_is_not_base64_leaves_the_output_alone() {
        for text in ["A", "AAAAA", "AA=", "A===", "====", "AA==AA==", "AA A", "AAAé"] {
            let mut out = vec![7];
            assert_eq!(read_base64(text.as_bytes(), &mut out), None, "{text}");
            assert_eq!(out, [7]);
        }
    }

    #[test]
    fn doubles_are_short_and_read_back() {
        assert_eq!(double(0.1), "0.1");
        assert_eq!(double(-0.0), "-0");
        assert_eq!(double(1e300), "1e300");
        assert_eq!(double(5e-324), "5e-324");
        assert_eq!(double(f64::NEG_INFINITY), "\"-Infinity\"");
    }
}
