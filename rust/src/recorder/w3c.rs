//! The headers of W3C Trace Context and Baggage, read and written.

use super::span::Ids;

/// Longest baggage: the header, one member, and members.
pub const BAGGAGE: usize = 8192;
const MEMBER: usize = 4096;
const MEMBERS: usize = 180;
const STATE: usize = 8192;
const STATES: usize = 32;

/// Read `traceparent`; None when it is malformed or says nothing.
pub fn read_parent(header: &str) -> Option<Ids> {
    if header.chars().count() > 512 {
        return None;
    }
    let header = header.trim_start_matches([' ', '\t']);
    let (fields, rest) = header.split_at_checked(55)?;
    let bytes = fields.as_bytes();
    if bytes[2] != b'-' || bytes[35] != b'-' || bytes[52] != b'-' {
        return None;
    }
    let version = hex(&fields[..2])?;
    let trace = hex(&fields[3..35])?;
    let span = hex(&fields[36..52])? as u64;
    let flags = hex(&fields[53..])? as u8;
    let rest = rest.strip_suffix('\n').unwrap_or(rest);
    let fits = match rest.strip_prefix('-') {
        Some(more) => version != 0 && !more.contains('\n'),
        None => rest.bytes().all(|byte| byte == b' ' || byte == b'\t'),
    };
    let said = fits && version != 0xff && trace != 0 && span != 0;
    said.then_some(Ids { trace, span, flags, remote: true })
}

fn hex(text: &str) -> Option<u128> {
    let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if lower { u128::from_str_radix(text, 16).ok() } else { None }
}

/// Write `traceparent`.
pub fn parent(ids: Ids) -> String {
    format!("00-{:032x}-{:016x}-{:02x}", ids.trace, ids.span, ids.flags)
}

/// Read `tracestate` headers; nothing when one member is malformed or there are too many.
pub fn read_state<'a>(headers: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let length: usize = headers.iter().map(|header| header.chars().count() + 1).sum();
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    if length > STATE + 1 {
        return pairs;
    }
    for member in headers.iter().flat_map(|header| header.split(',')) {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        let pair = member.split_once('=').filter(|pair| is_key(pair.0) && is_value(pair.1));
        match pair {
            Some(pair) if pairs.iter().all(|known| known.0 != pair.0) => pairs.push(pair),
            _ => return Vec::new(),
        }
    }
    if pairs.len() > STATES { Vec::new() } else { pairs }
}

fn is_key(key: &str) -> bool {
    let plain = |text: &str, most: usize| {
        (1..=most).contains(&text.len())
            && text
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'))
    };
    let begins = |text: &str, digit: bool| {
        text.bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase() || digit && byte.is_ascii_digit())
    };
    match key.split_once('@') {
        None => plain(key, 256) && begins(key, false),
        Some((tenant, system)) => {
            plain(tenant, 241) && begins(tenant, true) && plain(system, 14) && begins(system, false)
        }
    }
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b',' && byte != b'=')
        && !value.ends_with(' ')
}

/// Read `baggage`: keys and values, decoded; malformed members are left out.
pub fn read_baggage(header: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    if header.len() > BAGGAGE {
        return pairs;
    }
    let mut length = 0;
    let mut members = 0;
    for member in header.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() || !member.is_ascii() || member.len() > MEMBER {
            continue;
        }
        length += usize::from(members > 0) + member.len();
        if members == MEMBERS || length > BAGGAGE {
            break;
        }
        members += 1;
        let Some((key, value)) = member.split_once('=') else { continue };
        let (key, value) = (key.trim_matches([' ', '\t']), value.trim_matches([' ', '\t']));
        if is_token(key) && is_baggage_value(value) {
            pairs.push((decode(key), decode(value)));
        }
    }
    pairs
}

fn is_token(key: &str) -> bool {
    let allowed = |byte: u8| {
        matches!(byte, 0x21 | 0x23..=0x27 | 0x2a | 0x2b | 0x2d | 0x2e | b'0'..=b'9' | b'A'..=b'Z')
            || matches!(byte, 0x5e..=0x7a | 0x7c | 0x7e)
    };
    !key.is_empty() && key.bytes().all(allowed)
}

fn is_octets(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e))
}

fn is_baggage_value(value: &str) -> bool {
    let mut parts = value.split(';');
    let first = parts.next().unwrap_or("");
    is_octets(first.trim_end_matches([' ', '\t'])) && parts.all(is_property)
}

fn is_property(property: &str) -> bool {
    let bare = |text: &str| -> bool { is_token(text.trim_matches([' ', '\t'])) };
    match property.split_once('=') {
        None => bare(property),
        Some((key, value)) => bare(key) && is_octets(value.trim_matches([' ', '\t'])),
    }
}

/// Undo percent-encoding; plus is a space, as the official propagator writes it.
fn decode(text: &str) -> String {
    if !text.contains(['%', '+']) {
        return strip(text).to_owned();
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| (*byte as char).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        match (bytes[at], pair) {
            (b'%', (Some(high), Some(low))) => {
                decoded.push((high << 4 | low) as u8);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    strip(&String::from_utf8_lossy(&decoded)).to_owned()
}

/// As Python strips.
fn strip(text: &str) -> &str {
    text.trim_matches(|one: char| one.is_whitespace() || ('\x1c'..='\x1f').contains(&one))
}

/// Append text, percent-encoded.
pub fn encode(text: &str, into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'~') {
            into.push(byte as char);
        } else {
            into.push('%');
            into.push(DIGITS[usize::from(byte >> 4)] as char);
            into.push(DIGITS[usize::from(byte & 15)] as char);
        }
    }
}

/// A `baggage` header that grows member by member.
#[derive(Default)]
pub struct Baggage {
    pub header: String,
    members: usize,
    /// Members that did not fit.
    pub dropped: usize,
}

impl Baggage {
    /// Add a pair, encoded, if it fits.
    pub fn push(&mut self, key: &str, value: &str) {
        let before = self.header.len();
        if before > 0 {
            self.header.push(',');
        }
        let begins = self.header.len();
        encode(key, &mut self.header);
        self.header.push('=');
        encode(value, &mut self.header);
        let fits = self.header.len() - begins <= MEMBER
            && self.header.len() <= BAGGAGE
            && self.members < MEMBERS;
        if fits {
            self.members += 1;
        } else {
            self.header.truncate(before);
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";

    #[test]
    fn parents_are_read_as_they_are_written() {
        let ids = read_parent(PARENT).unwrap();
        assert_eq!((ids.span, ids.flags, ids.remote), (0xb7ad_6b71_6920_3331, 3, true));
        assert_eq!(parent(ids), PARENT);
        for wrong in ["00-", &format!("{PARENT}-x"), &PARENT.to_uppercase(), &format!("{PARENT}é")]
        {
            assert!(read_parent(wrong).is_none(), "{wrong}");
        }
        assert!(read_parent(&format!(" cc{}-more", &PARENT[2..])).is_some());
    }

    #[test]
    fn one_malformed_member_spoils_a_trace_state() {
        assert_eq!(read_state(&["a=1, b=2", "c@d=3"]), [("a", "1"), ("b", "2"), ("c@d", "3")]);
        for wrong in ["a=1,a=2", "A=1", "a=", "a", "a=1=2"] {
            assert_eq!(read_state(&[wrong]), [], "{wrong}");
        }
    }

    #[test]
    fn baggage_that_fits_is_kept() {
        let mut baggage = Baggage::default();
        baggage.push("a b", "ü,");
        baggage.push("long", &"x".repeat(MEMBER));
        baggage.push("c", "d");
        assert_eq!((baggage.header.as_str(), baggage.dropped), ("a%20b=%C3%BC%2C,c=d", 1));
        let read = read_baggage(&baggage.header);
        assert_eq!(read, [("a b".into(), "ü,".into()), ("c".into(), "d".into())]);
    }
}
