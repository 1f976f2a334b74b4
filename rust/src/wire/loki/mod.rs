//! Log records to the streams that Loki takes, as the Go collector's last `lokiexporter` made
//! them, or as Loki's own OTLP endpoint does. Both rules are final: the exporter is gone from the
//! Go collector, and the endpoint's mapping is Loki's data model.

mod labels;
mod line;
mod push;
pub mod py;
mod record;

use std::collections::HashMap;

use self::labels::Labels;
use self::record::{Attribute, Record, Resource, Scope};
use super::WireError;
use super::proto::{Fault, Reader};
use super::value::Any;

pub use self::push::{to_json, to_protobuf};

/// Which labels streams get, and where the rest of a record goes.
pub struct Rules {
    /// `exporter="OTLP"`.
    pub exporter: bool,
    /// `job` from the service's namespace and name.
    pub job: bool,
    /// `instance` from the service's instance id.
    pub instance: bool,
    /// `level` from the severity.
    pub level: bool,
    /// The line is the body alone; what is neither line nor label is structured metadata.
    pub structured_metadata: bool,
    /// Resource attributes that are labels where there is structured metadata.
    pub index: Vec<String>,
    /// Nanoseconds since the epoch, for records without any time.
    pub now: u64,
}

/// One request: the streams of a tenant.
#[derive(Default)]
pub struct Push {
    /// Empty when no hint names one.
    pub tenant: String,
    pub streams: Vec<Stream>,
    pub items: usize,
    by_labels: HashMap<String, usize>,
}

pub struct Stream {
    pub labels: Labels,
    pub entries: Vec<Entry>,
}

pub struct Entry {
    pub time: u64,
    pub line: String,
    pub metadata: Vec<(String, String)>,
}

/// What a batch became.
#[derive(Default)]
pub struct Pushes {
    pub pushes: Vec<Push>,
    /// Records without any label, which Loki does not take.
    pub unlabelled: usize,
    /// Records whose format hint is none of json, logfmt and raw.
    pub unformatted: usize,
}

/// Translate a request of log records.
pub fn translate(data: &[u8], rules: &Rules) -> Result<Pushes, WireError> {
    let mut pushes = Pushes::default();
    requests(data, rules, &mut pushes).map_err(|fault| fault.within(data))?;
    Ok(pushes)
}

fn requests(data: &[u8], rules: &Rules, pushes: &mut Pushes) -> Result<(), Fault> {
    let mut reader = Reader::new(data);
    while let Some(field) = reader.field()? {
        if field.number != 1 {
            continue;
        }
        let (resource, scopes) = Resource::read(field.bytes()?)?;
        for bytes in scopes {
            let (scope, records) = Scope::read(bytes)?;
            for bytes in records {
                let mut record = Record::read(bytes)?;
                if rules.structured_metadata {
                    pushes.with_metadata(&record, &resource, &scope, rules)?;
                } else {
                    pushes.with_hints(&mut record, &resource, &scope, rules)?;
                }
            }
        }
    }
    Ok(())
}

impl Pushes {
    /// As the exporter: hints name the labels and the format.
    fn with_hints(
        &mut self,
        record: &mut Record<'_>,
        resource: &Resource<'_>,
        scope: &Scope<'_>,
        rules: &Rules,
    ) -> Result<(), Fault> {
        let tenant = labels::tenant(&record.attributes, &resource.attributes)?;
        let hint = labels::add_level(record, rules)?;
        let format = match record::find(&resource.attributes, labels::FORMAT)
            .or_else(|| record::find(&record.attributes, labels::FORMAT))
        {
            Some(value) => record::text(value)?,
            None => "json".into(),
        };
        let named = labels::hinted(record, resource, &hint, rules)?;
        let keep = |attribute: &&Attribute<'_>| {
            !labels::HINTS.contains(&attribute.key) && !named.contains_key(attribute.key)
        };
        let attributes: Vec<_> = record.attributes.iter().filter(keep).collect();
        let resources: Vec<_> = resource.attributes.iter().filter(keep).collect();
        let line = match format.as_str() {
            "json" => line::json(record, &attributes, &resources, scope)?,
            "logfmt" => line::logfmt(record, &attributes, &resources, scope)?,
            "raw" => record::text(&record.body)?,
            _ => {
                self.unformatted += 1;
                return Ok(());
            }
        };
        let labels = labels::sanitized(named);
        let time = record.time_or(rules.now);
        self.add(tenant, labels, Entry { time, line, metadata: Vec::new() });
        Ok(())
    }

    /// As Loki's OTLP endpoint, but for the tenant, which a hint may name.
    fn with_metadata(
        &mut self,
        record: &Record<'_>,
        resource: &Resource<'_>,
        scope: &Scope<'_>,
        rules: &Rules,
    ) -> Result<(), Fault> {
        let tenant = labels::tenant(&record.attributes, &resource.attributes)?;
        let mut labels = Labels::new();
        let mut below = Vec::new();
        for attribute in &resource.attributes {
            if labels::HINTS.contains(&attribute.key) {
                continue;
            }
            let mut pairs = Vec::new();
            labels::flatten(attribute.key, &attribute.value, "", 0, &mut pairs)?;
            if rules.index.iter().any(|key| key == attribute.key) {
                labels.extend(pairs);
            } else {
                below.append(&mut pairs);
            }
        }
        if labels.get("service_name").is_none_or(String::is_empty) {
            labels.insert("service_name".into(), "unknown_service".into());
        }
        let mut metadata = line::metadata(record)?;
        metadata.append(&mut below);
        line::scope_metadata(scope, &mut metadata)?;
        let line = record::text(&record.body)?;
        let time = record.time_or(rules.now);
        self.add(tenant, labels, Entry { time, line, metadata });
        Ok(())
    }

    fn add(&mut self, tenant: String, labels: Labels, entry: Entry) {
        if labels.is_empty() {
            self.unlabelled += 1;
            return;
        }
        let at = match self.pushes.iter().position(|push| push.tenant == tenant) {
            Some(at) => at,
            None => {
                self.pushes.push(Push { tenant, ..Push::default() });
                self.pushes.len() - 1
            }
        };
        let push = &mut self.pushes[at];
        let name = labels::selector(&labels);
        let stream = *push.by_labels.entry(name).or_insert(push.streams.len());
        if stream == push.streams.len() {
            push.streams.push(Stream { labels, entries: Vec::new() });
        }
        push.streams[stream].entries.push(entry);
        push.items += 1;
    }
}

/// Whether a value of this kind can be added to a list of names.
fn takes_names(value: &[u8]) -> Result<bool, Fault> {
    Ok(matches!(Any::read(value)?, Any::Str(_) | Any::Array(_)))
}
