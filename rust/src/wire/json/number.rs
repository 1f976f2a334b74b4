//! Numbers of JSON as protobuf reads them.

/// How many bytes at the start of `text` are a number; None when there is none.
pub fn length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        text.get(from..).map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count())
    };
    let mut at = usize::from(text.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || whole > 1 && text[at] == b'0' {
        return None;
    }
    at += whole;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

/// A whole number in `[low, high]`; `1.0` and `1e3` are whole.
pub fn integer(text: &str, low: i128, high: i128) -> Result<i128, &'static str> {
    let bytes = text.as_bytes();
    let negative = bytes.first() == Some(&b'-');
    let plain = &bytes[usize::from(negative)..];
    let value = if (1..=20).contains(&plain.len()) && plain.iter().all(u8::is_ascii_digit) {
        if plain[0] == b'0' && plain.len() > 1 {
            return Err("is not a number");
        }
        plain.iter().fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'))
    } else {
        if length(bytes) != Some(bytes.len()) {
            return Err("is not a number");
        }
        whole(plain)?
    };
    let value = if negative { -value } else { value };
    if (low..=high).contains(&value) { Ok(value) } else { Err("is out of range") }
}

/// The value of digits with a fraction or an exponent.
fn whole(text: &[u8]) -> Result<i128, &'static str> {
    let split = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
    let (mantissa, exponent) = text.split_at(split);
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let fraction = mantissa.len().saturating_sub(point + 1) as i64;
    let mut exponent = exponent_of(exponent).saturating_sub(fraction);
    let digits = || mantissa.iter().filter(|byte| **byte != b'.');
    let zeros = digits().rev().take_while(|digit| **digit == b'0').count();
    let count = digits().count();
    if zeros == count {
        return Ok(0);
    }
    exponent = exponent.saturating_add(zeros as i64);
    if exponent < 0 {
        return Err("is not a whole number");
    }
    let mut value = 0i128;
    let zeros = std::iter::repeat_n(&b'0', exponent.min(40) as usize);
    for digit in digits().take(count - zeros_of(mantissa)).chain(zeros) {
        value = value * 10 + i128::from(digit - b'0');
        if value > u64::MAX.into() {
            return Err("is out of range");
        }
    }
    Ok(value)
}

fn zeros_of(mantissa: &[u8]) -> usize {
    mantissa.iter().filter(|byte| **byte != b'.').rev().take_while(|byte| **byte == b'0').count()
}

/// The number behind an `e`, or 0 where there is none; as large as it gets when it is larger.
fn exponent_of(text: &[u8]) -> i64 {
    let Some((_, text)) = text.split_first() else { return 0 };
    let negative = text.first() == Some(&b'-');
    let value = text
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0i64, |value, digit| value.saturating_mul(10).saturating_add((digit - b'0').into()));
    if negative { -value } else { value }
}

/// A finite number, or the words that JSON has no numbers for.
pub fn double(text: &str) -> Result<f64, &'static str> {
    match text {
        "NaN" => return Ok(f64::NAN),
        "Infinity" => return Ok(f64::INFINITY),
        "-Infinity" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    if length(text.as_bytes()) != Some(text.len()) {
        return Err("is not a number");
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err("is out of range"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_in_every_notation() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("-0.0e5", 0),
            ("18446744073709551615", u64::MAX.into()),
            ("-9223372036854775808", i64::MIN.into()),
            ("1.50e1", 15),
            ("1200e-2", 12),
            ("0.00001e5", 1),
            ("1e19", 10_000_000_000_000_000_000),
        ] {
            assert_eq!(integer(text, i64::MIN.into(), u64::MAX.into()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_whole_number_in_range() {
        for text in ["", "-", "+1", "01", "1.", ".5", "1e", "0x1", " 1", "1 ", "NaN"] {
            assert_eq!(integer(text, 0, 10), Err("is not a number"), "{text}");
        }
        for text in ["1.5", "1e-1", "123e-99999999999999999999"] {
            assert_eq!(integer(text, 0, 10), Err("is not a whole number"), "{text}");
        }
        for text in ["11", "-1", "1e99999999999999999999", "99999999999999999999999"] {
            assert_eq!(integer(text, 0, 10), Err("is out of range"), "{text}");
        }
    }

    #[test]
    fn doubles_are_finite_or_named() {
        assert_eq!(double("1e308"), Ok(1e308));
        assert_eq!(double("1e309"), Err("is out of range"));
        assert_eq!(double("inf"), Err("is not a number"));
        assert!(double("NaN").is_ok_and(f64::is_nan));
    }
}
