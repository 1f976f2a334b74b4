//! The line of a record, and its structured metadata.

use super::super::json::unquote;
use super::super::proto::{Fault, MAX_DEPTH};
use super::super::text::{push_hex, push_json, push_quoted};
use super::super::value::{Any, elements, entries, key_text};
use super::labels::{HINTS, flatten};
use super::record::{Attribute, Record, Scope, text};

/// One JSON object; what is empty is left out.
pub fn json(
    record: &Record<'_>,
    attributes: &[&Attribute<'_>],
    resources: &[&Attribute<'_>],
    scope: &Scope<'_>,
) -> Result<String, Fault> {
    let mut out = String::from("{");
    if Any::read(&record.body)? != Any::Empty {
        name(&mut out, "body");
        push_json(&mut out, &record.body)?;
    }
    for (key, id) in [("traceid", record.trace_id), ("spanid", record.span_id)] {
        if !id.is_empty() {
            name(&mut out, key);
            out.push('"');
            push_hex(&mut out, id);
            out.push('"');
        }
    }
    if !record.severity_text.is_empty() {
        name(&mut out, "severity");
        push_quoted(&mut out, record.severity_text);
    }
    if record.flags != 0 {
        name(&mut out, "flags");
        out.push_str(&record.flags.to_string());
    }
    for (key, map) in [("attributes", attributes), ("resources", resources)] {
        if !map.is_empty() {
            name(&mut out, key);
            object(&mut out, map)?;
        }
    }
    if !scope.name.is_empty() {
        name(&mut out, "instrumentation_scope");
        out.push_str("{\"name\":");
        push_quoted(&mut out, scope.name);
        if !scope.version.is_empty() {
            out.push_str(",\"version\":");
            push_quoted(&mut out, scope.version);
        }
        out.push('}');
    }
    out.push('}');
    Ok(out)
}

/// Begin a member of an object.
fn name(out: &mut String, key: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    push_quoted(out, key);
    out.push(':');
}

/// Sorted by key; of several equal keys the last.
fn object(out: &mut String, attributes: &[&Attribute<'_>]) -> Result<(), Fault> {
    let mut sorted = attributes.to_vec();
    sorted.sort_by_key(|attribute| attribute.key);
    out.push('{');
    for (index, attribute) in sorted.iter().enumerate() {
        if sorted.get(index + 1).is_none_or(|next| next.key != attribute.key) {
            name(out, attribute.key);
            push_json(out, &attribute.value)?;
        }
    }
    out.push('}');
    Ok(())
}

type Pairs = Vec<(String, String)>;

/// One logfmt line.
pub fn logfmt(
    record: &Record<'_>,
    attributes: &[&Attribute<'_>],
    resources: &[&Attribute<'_>],
    scope: &Scope<'_>,
) -> Result<String, Fault> {
    let mut pairs = Pairs::new();
    match Any::read(&record.body)? {
        Any::Empty => {}
        Any::Str(_) => {
            let body = text(&record.body)?;
            pairs = parse_logfmt(&body).unwrap_or_else(|| vec![("msg".into(), body)]);
        }
        Any::Map(_) => spread("", &record.body, 0, &mut pairs)?,
        Any::Array(_) => spread("body", &record.body, 0, &mut pairs)?,
        _ => pairs.push(("msg".into(), scalar(&record.body)?)),
    }
    for (key, id) in [("traceID", record.trace_id), ("spanID", record.span_id)] {
        if !id.is_empty() {
            let mut hex = String::new();
            push_hex(&mut hex, id);
            replace(&mut pairs, key, hex);
        }
    }
    if !record.severity_text.is_empty() {
        replace(&mut pairs, "severity", record.severity_text.into());
    }
    if record.flags != 0 {
        replace(&mut pairs, "flags", record.flags.to_string());
    }
    for (prefix, map) in [("attribute", attributes), ("resource", resources)] {
        for attribute in map {
            spread(&format!("{prefix}_{}", attribute.key), &attribute.value, 0, &mut pairs)?;
        }
    }
    if !scope.name.is_empty() {
        pairs.push(("instrumentation_scope_name".into(), scope.name.into()));
        if !scope.version.is_empty() {
            pairs.push(("instrumentation_scope_version".into(), scope.version.into()));
        }
    }
    Ok(print_logfmt(&pairs))
}

fn replace(pairs: &mut Pairs, key: &str, value: String) {
    match pairs.iter_mut().find(|pair| pair.0 == key) {
        Some(pair) => pair.1 = value,
        None => pairs.push((key.into(), value)),
    }
}

/// A pair for each value inside lists and maps; the key of nothing is no pair.
fn spread(key: &str, value: &[u8], depth: usize, pairs: &mut Pairs) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::at(value, "values are nested too deeply"));
    }
    let below = |inner: &str| {
        if key.is_empty() { inner.to_string() } else { format!("{key}_{inner}") }
    };
    match Any::read(value)? {
        Any::Empty => {}
        Any::Map(map) => {
            for entry in entries(&map).map_err(|fault| fault.moved_to(value))? {
                let key = key_text(&entry).map_err(|fault| fault.moved_to(value))?;
                spread(&below(key), &entry.value, depth + 1, pairs)
                    .map_err(|fault| fault.moved_to(value))?;
            }
        }
        Any::Array(array) => {
            let found = elements(&array).map_err(|fault| fault.moved_to(value))?;
            for (index, element) in found.into_iter().enumerate() {
                spread(&below(&index.to_string()), element, depth + 1, pairs)
                    .map_err(|fault| fault.moved_to(value))?;
            }
        }
        _ => pairs.push((key.to_string(), scalar(value)?)),
    }
    Ok(())
}

/// As Go prints a value: bytes as the text that they are.
fn scalar(value: &[u8]) -> Result<String, Fault> {
    match Any::read(value)? {
        Any::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        _ => text(value),
    }
}

/// The pairs of a logfmt line; None for what is not logfmt. A word alone is a key without value.
fn parse_logfmt(line: &str) -> Option<Pairs> {
    let mut pairs = Pairs::new();
    let mut rest = line.trim_start_matches(|char| char <= ' ');
    while !rest.is_empty() {
        let end = rest.find(|char| char <= ' ' || matches!(char, '=' | '"')).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if key.is_empty() || after.starts_with('"') {
            return None;
        }
        let mut value = String::new();
        rest = after;
        if let Some(after) = after.strip_prefix('=') {
            if after.starts_with('"') {
                (value, rest) = unquote(after)?;
            } else {
                let end = after.find(|char| char <= ' ').unwrap_or(after.len());
                if after[..end].contains(['=', '"']) {
                    return None;
                }
                value = after[..end].into();
                rest = &after[end..];
            }
        }
        if rest.starts_with(|char| char > ' ') {
            return None;
        }
        pairs.push((key.into(), value));
        rest = rest.trim_start_matches(|char| char <= ' ');
    }
    Some(pairs)
}

/// Keys lose what logfmt has no place for; values are quoted where they need it.
fn print_logfmt(pairs: &Pairs) -> String {
    let special = |char: char| char <= ' ' || matches!(char, '=' | '"' | '\u{fffd}');
    let mut out = String::new();
    for (key, value) in pairs {
        let key = key.replace(special, "");
        if key.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&key);
        out.push('=');
        if value == "null" || value.contains(special) {
            push_quoted(&mut out, value);
        } else {
            out.push_str(value);
        }
    }
    out
}

/// What Loki's OTLP endpoint keeps of a record beside its line.
pub fn metadata(record: &Record<'_>) -> Result<Pairs, Fault> {
    let mut pairs = Pairs::new();
    for attribute in &record.attributes {
        let replaced = attribute.key == "event_name" && !record.event_name.is_empty();
        if !HINTS.contains(&attribute.key) && !replaced {
            flatten(attribute.key, &attribute.value, "", 0, &mut pairs)?;
        }
    }
    let hex = |id: &[u8]| {
        let mut out = String::new();
        push_hex(&mut out, id);
        out
    };
    let observed = if record.time == 0 { 0 } else { record.observed_time };
    let fields = [
        ("observed_timestamp", number(observed)),
        ("severity_number", number(record.severity.max(0) as u64)),
        ("severity_text", record.severity_text.into()),
        ("dropped_attributes_count", number(record.dropped_attributes.into())),
        ("flags", number(record.flags.into())),
        ("trace_id", hex(record.trace_id)),
        ("span_id", hex(record.span_id)),
        ("event_name", record.event_name.into()),
    ];
    pairs.extend(present(fields));
    Ok(pairs)
}

/// What Loki's OTLP endpoint keeps of a scope.
pub fn scope_metadata(scope: &Scope<'_>, pairs: &mut Pairs) -> Result<(), Fault> {
    for attribute in &scope.attributes {
        flatten(attribute.key, &attribute.value, "", 0, pairs)?;
    }
    let fields = [
        ("scope_name", scope.name.into()),
        ("scope_version", scope.version.into()),
        ("scope_dropped_attributes_count", number(scope.dropped_attributes.into())),
    ];
    pairs.extend(present(fields));
    Ok(())
}

/// Digits, or nothing for 0.
fn number(value: u64) -> String {
    if value == 0 { String::new() } else { value.to_string() }
}

fn present<const N: usize>(
    fields: [(&str, String); N],
) -> impl Iterator<Item = (String, String)> + use<'_, N> {
    fields.into_iter().filter(|field| !field.1.is_empty()).map(|(name, value)| (name.into(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(line: &str) -> Option<String> {
        parse_logfmt(line).map(|pairs| print_logfmt(&pairs))
    }

    #[test]
    fn logfmt_lines_are_kept() {
        for line in ["", "a=1", "a=1 b=\"x y\" c=é", "a=\"\\\"\\n\"", "url=/x?y"] {
            assert_eq!(again(line).as_deref(), Some(line));
        }
        assert_eq!(again("  a=1\t b  ").as_deref(), Some("a=1 b="));
        assert_eq!(again("a=null b=\"x\"").as_deref(), Some("a=\"null\" b=x"));
    }

    #[test]
    fn other_text_is_no_logfmt() {
        for line in ["=1", "a=\"x", "a=\"x\"b", "a\"b", "a=b=c", "say \"hi\""] {
            assert_eq!(again(line), None, "{line}");
        }
    }
}
