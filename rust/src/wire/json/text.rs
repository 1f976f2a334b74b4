//! Bytes from text: hex for ids, base64 for all else.

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

#[cfg(test)]
mod tests {
    use super::super::super::text::push_base64;
    use super::*;

    #[test]
    fn base64_of_every_length_reads_back_padded_and_not() {
        for length in 0..20u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(83)).collect();
            let mut text = String::new();
            push_base64(&mut text, &bytes);
            let bare = text.replace('=', "");
            for form in [text, bare] {
                let mut back = Vec::new();
                assert_eq!(read_base64(form.as_bytes(), &mut back), Some(()));
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
}
