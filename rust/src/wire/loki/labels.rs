//! Which labels a record gets, and what Loki lets them be called.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::proto::{Fault, MAX_DEPTH, put_bytes_field};
use super::super::value::{Any, elements, entries, key_text};
use super::record::{Attribute, Record, Resource, find, text};
use super::{Rules, takes_names};

/// Names and values of labels, sorted by name.
pub type Labels = BTreeMap<String, String>;

pub const FORMAT: &str = "loki.format";
const ATTRIBUTES: &str = "loki.attribute.labels";
const RESOURCES: &str = "loki.resource.labels";
const TENANT: &str = "loki.tenant";
/// Attributes that speak to the exporter and go no further.
pub const HINTS: [&str; 4] = [ATTRIBUTES, RESOURCES, TENANT, FORMAT];
const LEVEL: &str = "level";
const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/// The tenant that the hint leads to: it names an attribute, which has the tenant's name.
pub fn tenant(log: &[Attribute<'_>], resource: &[Attribute<'_>]) -> Result<String, Fault> {
    let Some(hint) = find(resource, TENANT).or_else(|| find(log, TENANT)) else {
        return Ok(String::new());
    };
    let Any::Str(key) = Any::read(hint)? else { return Ok(String::new()) };
    let named = |attributes: &[Attribute<'_>]| {
        attributes.iter().position(|attribute| attribute.key.as_bytes() == key)
    };
    let value = match (named(resource), named(log)) {
        (Some(at), _) => &resource[at].value,
        (None, Some(at)) => &log[at].value,
        (None, None) => return Ok(String::new()),
    };
    match Any::read(value)? {
        Any::Str(_) => text(value),
        _ => Ok(String::new()),
    }
}

/// Give a record with a severity its level as an attribute, unless it has one; return the names
/// that its hint makes labels, the level's among them.
pub fn add_level(record: &mut Record<'_>, rules: &Rules) -> Result<Vec<String>, Fault> {
    let hint = find(&record.attributes, ATTRIBUTES);
    let mut names = hint.map(names_of).transpose()?.unwrap_or_default();
    if !rules.level || !(1..=24).contains(&record.severity) {
        return Ok(names);
    }
    if hint.map_or(Ok(true), takes_names)? {
        names.push(LEVEL.into());
    }
    if find(&record.attributes, LEVEL).is_none() {
        let (level, step) = ((record.severity - 1) / 4, (record.severity - 1) % 4 + 1);
        let mut name = LEVELS[level as usize].to_string();
        if step > 1 {
            name.push_str(&step.to_string());
        }
        let mut value = Vec::new();
        put_bytes_field(&mut value, 1, name.as_bytes());
        record.attributes.push(Attribute { key: LEVEL, value: Cow::Owned(value) });
    }
    Ok(names)
}

/// The labels of a record under the names that its attributes have. Later ones win.
pub fn hinted(
    record: &Record<'_>,
    resource: &Resource<'_>,
    names: &[String],
    rules: &Rules,
) -> Result<Labels, Fault> {
    let mut labels = Labels::new();
    let about = &resource.attributes;
    if rules.exporter {
        labels.insert("exporter".into(), "OTLP".into());
    }
    if rules.job
        && let Some(service) = find(about, "service.name")
    {
        let mut job = text(service)?;
        if let Some(namespace) = find(about, "service.namespace") {
            job = format!("{}/{job}", text(namespace)?);
        }
        labels.insert("job".into(), job);
    }
    if rules.instance
        && let Some(instance) = find(about, "service.instance.id")
    {
        labels.insert("instance".into(), text(instance)?);
    }
    for hint in [find(about, RESOURCES), find(&record.attributes, RESOURCES)].into_iter().flatten()
    {
        select(about, &names_of(hint)?, &mut labels)?;
    }
    select(&record.attributes, names, &mut labels)?;
    if let Some(hint) = find(about, TENANT) {
        select(about, &names_of(hint)?, &mut labels)?;
    } else if let Some(hint) = find(&record.attributes, TENANT) {
        select(&record.attributes, &names_of(hint)?, &mut labels)?;
    }
    Ok(labels)
}

/// The names in a hint: a list, or text with commas.
fn names_of(hint: &[u8]) -> Result<Vec<String>, Fault> {
    let names: Vec<String> = match Any::read(hint)? {
        Any::Array(array) => {
            let names: Result<_, _> = elements(&array)?.into_iter().map(text).collect();
            names.map_err(|fault| fault.moved_to(hint))?
        }
        Any::Str(_) => text(hint)?.split(',').map(str::to_string).collect(),
        _ => vec![text(hint)?],
    };
    Ok(names.iter().map(|name| name.trim().to_string()).collect())
}

/// Make labels of the attributes of these names; `a.b` may be `b` within the map `a`.
fn select(
    attributes: &[Attribute<'_>],
    names: &[String],
    labels: &mut Labels,
) -> Result<(), Fault> {
    for name in names {
        let value = match find(attributes, name) {
            Some(value) => Some(text(value)?),
            None => match name.split_once('.') {
                Some((key, rest)) => match find(attributes, key) {
                    Some(value) => within(value, rest).map_err(|fault| fault.moved_to(value))?,
                    None => None,
                },
                None => None,
            },
        };
        if let Some(value) = value {
            labels.insert(name.clone(), value);
        }
    }
    Ok(())
}

/// The value as text at a path of keys in a map.
fn within(value: &[u8], path: &str) -> Result<Option<String>, Fault> {
    if path.is_empty() {
        return text(value).map(Some);
    }
    let Any::Map(map) = Any::read(value)? else { return Ok(None) };
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    let found = entries(&map)?.into_iter().find(|entry| entry.key == key.as_bytes());
    found.map_or(Ok(None), |entry| within(&entry.value, rest))
}

/// The same labels under names that Loki takes; nothing stands for an attribute without a name.
pub fn sanitized(labels: Labels) -> Labels {
    labels.into_iter().filter_map(|(name, value)| Some((label_name(&name)?, value))).collect()
}

/// As the collector's Prometheus translator: `_` for what is not a letter or digit, and `key`
/// before what a label must not begin with.
fn label_name(name: &str) -> Option<String> {
    let plain: String =
        name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect();
    let first = plain.chars().next()?;
    Some(if first.is_ascii_digit() {
        format!("key_{plain}")
    } else if first == '_' && !plain.starts_with("__") {
        format!("key{plain}")
    } else {
        plain
    })
}

/// As Loki's OTLP endpoint: one `_` for any run of what is not a letter or digit.
fn metadata_name(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for char in name.chars() {
        if char.is_ascii_alphanumeric() {
            plain.push(char);
        } else if !plain.ends_with('_') {
            plain.push('_');
        }
    }
    if plain.is_empty() || plain == "_" || plain.starts_with(|char: char| char.is_ascii_digit()) {
        plain.insert_str(0, "key_");
    }
    plain
}

/// Push a pair for a value, or for each value within a map under both names.
pub fn flatten(
    key: &str,
    value: &[u8],
    prefix: &str,
    depth: usize,
    pairs: &mut Vec<(String, String)>,
) -> Result<(), Fault> {
    let name = if prefix.is_empty() {
        metadata_name(key)
    } else {
        metadata_name(&format!("{prefix}_{key}"))
    };
    let Any::Map(map) = Any::read(value)? else {
        pairs.push((name, text(value)?));
        return Ok(());
    };
    if depth == MAX_DEPTH {
        return Err(Fault::at(value, "values are nested too deeply"));
    }
    for entry in entries(&map).map_err(|fault| fault.moved_to(value))? {
        flatten(key_text(&entry)?, &entry.value, &name, depth + 1, pairs)
            .map_err(|fault| fault.moved_to(value))?;
    }
    Ok(())
}

/// The labels as Loki's protocol writes them: `{a="1", b="2"}`.
pub fn selector(labels: &Labels) -> String {
    let mut out = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        out.push_str(name);
        out.push_str("=\"");
        for char in value.chars() {
            match char {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\0'..='\x1f' | '\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(char))),
                _ => out.push(char),
            }
        }
        out.push('"');
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_names_are_those_of_prometheus() {
        for (name, label) in [
            ("http.status", "http_status"),
            ("1st", "key_1st"),
            ("_private", "key_private"),
            ("__internal", "__internal"),
            ("a--b", "a__b"),
            ("é", "key_"),
        ] {
            assert_eq!(label_name(name).as_deref(), Some(label));
        }
        assert_eq!(label_name(""), None);
    }

    #[test]
    fn metadata_names_are_those_of_lokis_endpoint() {
        for (name, label) in [
            ("http.status", "http_status"),
            ("a..b__c", "a_b_c"),
            ("1st", "key_1st"),
            ("_x", "_x"),
            ("", "key_"),
            ("..", "key__"),
        ] {
            assert_eq!(metadata_name(name), label);
        }
    }

    #[test]
    fn values_of_labels_are_quoted() {
        let labels = [("a", "x\"\\\n\u{1}é"), ("b", "")].map(|(k, v)| (k.into(), v.into())).into();
        assert_eq!(selector(&labels), r#"{a="x\"\\\n\x01é", b=""}"#);
    }
}
