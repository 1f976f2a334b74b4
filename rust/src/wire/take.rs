//! Copy a batch without some of its rows, in one pass; everything else is copied as it stands.

use super::project::live_member;
use super::proto::{Fault, Reader, close, open, put_bytes_field};
use super::schema::{Cardinality, Level, METRIC, Message};
use super::{Batch, WireError, scan};

/// Which rows of a level are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// One flag a row.
    Mask(Vec<bool>),
    /// Flags up to the last row that is kept.
    Numbers(Vec<bool>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeError {
    Wire(WireError),
    /// The flags are not as many as the rows, or a number is not of a row.
    Rows {
        given: usize,
        rows: usize,
    },
    /// The signal has no such level.
    Level,
}

impl Batch {
    /// Keep some rows of a level. Resources, scopes and metrics that lose their last item vanish.
    /// The order is the batch's.
    pub fn take(&self, rows: &Rows, level: Level) -> Result<Self, TakeError> {
        let Some(request) = self.signal.request() else { return Err(TakeError::Level) };
        if level.messages(self.signal).is_empty() {
            return Err(TakeError::Level);
        }
        let (flags, exact) = match rows {
            Rows::Mask(flags) => (flags, true),
            Rows::Numbers(flags) => (flags, false),
        };
        let mut taking =
            Taking { flags, level, above: level.ancestors(self.signal), row: 0, out: Vec::new() };
        taking.out.reserve(self.data.len());
        let wire = |fault: Fault| TakeError::Wire(fault.within(&self.data));
        let done = taking.message(request, &self.data).map_err(wire)?;
        if taking.row < flags.len() || exact && taking.row > flags.len() {
            return Err(TakeError::Rows { given: flags.len(), rows: taking.row });
        }
        if !done.changed {
            return Ok(self.clone());
        }
        let mut data = taking.out;
        data.shrink_to_fit();
        let items = match level {
            Level::Item => done.kept,
            Level::Event | Level::Link | Level::Exemplar => self.items,
            _ => scan(self.signal, &data).map_err(TakeError::Wire)?,
        };
        Ok(Self { data: data.into(), items, ..self.clone() })
    }
}

struct Taking<'t> {
    flags: &'t [bool],
    level: Level,
    above: Vec<Level>,
    row: usize,
    out: Vec<u8>,
}

/// What became of a message.
#[derive(Default)]
struct Done {
    changed: bool,
    /// Rows met below it, and those that stay.
    rows: usize,
    kept: usize,
}

impl Taking<'_> {
    /// Write a message that holds rows; what is written counts only when it changed.
    fn message(&mut self, message: &'static Message, bytes: &[u8]) -> Result<Done, Fault> {
        let mut done = Done::default();
        // Fields from here on are copied in one go once something is left out.
        let mut run = 0;
        let mut reader = Reader::new(bytes);
        loop {
            let start = reader.position();
            let Some(found) = reader.field()? else { break };
            let Some(field) = message.field(found.number) else { continue };
            if field.level == Some(self.level) {
                found.bytes()?;
                let keep = self.flags.get(self.row).copied().unwrap_or(false);
                self.row += 1;
                done.rows += 1;
                if keep {
                    done.kept += 1;
                } else {
                    self.out.extend_from_slice(&bytes[run..start]);
                    run = reader.position();
                    done.changed = true;
                }
            } else if let Some(level) = field.level
                && self.above.contains(&level)
                && let super::schema::Kind::Message(inner) = field.kind
            {
                self.out.extend_from_slice(&bytes[run..start]);
                let mark = self.out.len();
                let contents = found.bytes()?;
                let nested = open(&mut self.out, found.number, contents.len());
                let below = if level == Level::Metric {
                    self.metric(inner, contents)?
                } else {
                    self.message(inner, contents)?
                };
                let vanishes = below.rows > 0
                    && below.kept == 0
                    && level < Level::Item
                    && self.level <= Level::Item;
                if below.changed && !vanishes {
                    close(&mut self.out, nested);
                    run = reader.position();
                } else {
                    self.out.truncate(mark);
                    run = if vanishes { reader.position() } else { start };
                }
                done.changed |= below.changed;
                done.rows += below.rows;
                done.kept += below.kept;
            }
        }
        self.out.extend_from_slice(&bytes[run..]);
        Ok(done)
    }

    /// A metric: the points lie in the member of its oneof that counts. Where that stands in
    /// several pieces, or after others, it is written once.
    fn metric(&mut self, message: &'static Message, bytes: &[u8]) -> Result<Done, Fault> {
        if self.level == Level::Metric {
            return self.message(message, bytes);
        }
        let (member, pieces) = live_member(bytes)?;
        let Some(member) = member else { return Ok(Done::default()) };
        let number = METRIC
            .children_of_oneof()
            .find_map(|(number, inner)| std::ptr::eq(inner, member).then_some(number));
        let mut data = Vec::new();
        std::mem::swap(&mut data, &mut self.out);
        let done = match &pieces[..] {
            [only] => self.message(member, only),
            _ => self.message(member, &pieces.concat()).map_err(|fault| fault.moved_to(bytes)),
        };
        std::mem::swap(&mut data, &mut self.out);
        let done = done?;
        if done.changed {
            let mut written = false;
            let mut reader = Reader::new(bytes);
            while let Some(found) = reader.field()? {
                let of_data = METRIC
                    .field(found.number)
                    .is_some_and(|field| field.cardinality == Cardinality::Oneof);
                if !of_data {
                    self.out.extend_from_slice(found.raw);
                } else if !written && Some(found.number) == number {
                    put_bytes_field(&mut self.out, found.number, &data);
                    written = true;
                }
            }
        }
        Ok(done)
    }
}
