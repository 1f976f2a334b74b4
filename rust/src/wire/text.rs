//! Values as text, as the Go collector writes them: numbers as its JSON does, bytes in base64,
//! maps as JSON objects with sorted keys.
//!
//! One difference: a number inside a list or map that JSON does not have is written as the string
//! "NaN", "Infinity" or "-Infinity"; the Go collector then loses the whole value.

use std::fmt::Write;

use super::proto::{Fault, MAX_DEPTH, utf8};
use super::value::{Any, elements, entries, key_text};

/// The value as a string: a string itself, everything else as in JSON, nothing as "".
pub fn push_text(out: &mut String, value: &[u8]) -> Result<(), Fault> {
    match Any::read(value)? {
        Any::Empty => Ok(()),
        Any::Str(text) => {
            out.push_str(utf8(text)?);
            Ok(())
        }
        Any::Bytes(bytes) => {
            push_base64(out, bytes);
            Ok(())
        }
        Any::Double(number) if !number.is_finite() => {
            let name = match number {
                f64::INFINITY => "+Inf",
                f64::NEG_INFINITY => "-Inf",
                _ => "NaN",
            };
            write_to(out, format_args!("json: unsupported value: {name}"));
            Ok(())
        }
        any => push_any(out, &any, 0).map_err(|fault| local(fault, value)),
    }
}

/// The value as JSON.
pub fn push_json(out: &mut String, value: &[u8]) -> Result<(), Fault> {
    push_any(out, &Any::read(value)?, 0).map_err(|fault| local(fault, value))
}

/// The entries of attributes as one JSON object; `map` is the bytes of a map's message.
pub fn push_json_map(out: &mut String, map: &[u8]) -> Result<(), Fault> {
    push_map(out, map, 0)
}

/// Merged pieces are not where the batch is; the value's own place stands for them.
fn local(fault: Fault, value: &[u8]) -> Fault {
    if fault.is_inside(value) { fault } else { fault.moved_to(value) }
}

fn push_any(out: &mut String, any: &Any<'_>, depth: usize) -> Result<(), Fault> {
    match any {
        Any::Empty => out.push_str("null"),
        Any::Str(text) => push_quoted(out, utf8(text)?),
        Any::Bool(true) => out.push_str("true"),
        Any::Bool(false) => out.push_str("false"),
        Any::Int(number) => write_to(out, format_args!("{number}")),
        Any::Double(number) => push_double(out, *number),
        Any::Bytes(bytes) => {
            out.push('"');
            push_base64(out, bytes);
            out.push('"');
        }
        Any::Array(array) => {
            too_deep(array, depth)?;
            out.push('[');
            for (index, element) in elements(array)?.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_any(out, &Any::read(element)?, depth + 1)?;
            }
            out.push(']');
        }
        Any::Map(map) => push_map(out, map, depth)?,
    }
    Ok(())
}

fn push_map(out: &mut String, map: &[u8], depth: usize) -> Result<(), Fault> {
    too_deep(map, depth)?;
    let mut found = entries(map)?;
    found.sort_by(|one, other| one.key.cmp(other.key));
    out.push('{');
    let mut first = true;
    for (index, entry) in found.iter().enumerate() {
        if found.get(index + 1).is_some_and(|next| next.key == entry.key) {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        push_quoted(out, key_text(entry)?);
        out.push(':');
        push_any(out, &Any::read(&entry.value)?, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

fn too_deep(place: &[u8], depth: usize) -> Result<(), Fault> {
    if depth < MAX_DEPTH { Ok(()) } else { Err(Fault::at(place, "values are nested too deeply")) }
}

fn write_to(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(arguments);
}

/// A number as Go's JSON writes it; what JSON has no number for is a string.
pub fn push_double(out: &mut String, number: f64) {
    if number.is_nan() {
        out.push_str("\"NaN\"");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else if number != 0.0 && !(1e-6..1e21).contains(&number.abs()) {
        let start = out.len();
        write_to(out, format_args!("{number:e}"));
        if number.abs() >= 1.0
            && let Some(at) = out[start..].find('e')
        {
            out.insert(start + at + 1, '+');
        }
    } else {
        write_to(out, format_args!("{number}"));
    }
}

/// A JSON string.
pub fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(index) = rest.bytes().position(|byte| SPECIAL[usize::from(byte)]) {
        out.push_str(&rest[..index]);
        let special = rest[index..].chars().next().unwrap_or_default();
        match special {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                write_to(out, format_args!("\\u{:04x}", u32::from(special)));
            }
            other => out.push(other),
        }
        rest = &rest[index + special.len_utf8()..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Bytes at which a character may begin that a JSON string does not show as it is: what JSON
/// forbids, and the first byte of the separators that JavaScript takes for ends of lines.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special[0xe2] = true;
    special
};

/// Standard base64 with padding.
pub fn push_base64(out: &mut String, bytes: &[u8]) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
}

/// Lower-case hexadecimal.
pub fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for chunk in bytes.chunks(16) {
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(chunk) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        push_ascii(out, &digits[..chunk.len() * 2]);
    }
}

/// Bytes that are known to be ASCII.
pub fn push_ascii(out: &mut String, bytes: &[u8]) {
    out.push_str(std::str::from_utf8(bytes).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_read_as_in_go() {
        let cases = [
            (1.0, "1"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
        ];
        for (number, text) in cases {
            let mut out = String::new();
            push_double(&mut out, number);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn base64_pads() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            let mut out = String::new();
            push_base64(&mut out, bytes.as_bytes());
            assert_eq!(out, text);
        }
    }

    #[test]
    fn quotes_escape_what_json_forbids() {
        let mut out = String::new();
        push_quoted(&mut out, "a\"\\\n\u{1}<é\u{2028}");
        assert_eq!(out, "\"a\\\"\\\\\\n\\u0001<é\\u2028\"");
    }
}
