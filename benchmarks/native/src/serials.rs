//! Spans that say which they are: a sender's number and a serial in every id, and sets of serials.
//!
//! A trace id is `herd`, the sender (32 bits), the serial (64 bits); a span id the sender's low 16
//! bits and the serial's low 48. Serials of a sender are dense, so a set of them is a bitmap.

use crate::telemetry::{Random, request};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::ops::Range;

const MARK: &[u8; 4] = b"herd";
/// No run makes so many spans; what is beyond is no serial of ours.
const END: u64 = 1 << 36;

/// Requests of one sender: a template whose ids are overwritten.
pub struct Template {
    message: Vec<u8>,
    ids: Vec<(usize, usize)>,
    sender: u32,
}

impl Template {
    pub fn new(random: &mut Random, spans: usize, sender: u32) -> Self {
        let message = request(random, spans);
        let mut ids = Vec::with_capacity(spans);
        each_span(&message, |trace, span| ids.push((trace.start, span.start)));
        Self { message, ids, sender }
    }

    pub fn spans(&self) -> u64 {
        self.ids.len() as u64
    }

    /// The request whose first span has this serial.
    pub fn request(&self, first: u64) -> Vec<u8> {
        let mut message = self.message.clone();
        for (serial, (trace, span)) in (first..).zip(&self.ids) {
            message[*trace..trace + 4].copy_from_slice(MARK);
            message[trace + 4..trace + 8].copy_from_slice(&self.sender.to_be_bytes());
            message[trace + 8..trace + 16].copy_from_slice(&serial.to_be_bytes());
            let short = u64::from(self.sender) << 48 | serial;
            message[*span..span + 8].copy_from_slice(&short.to_be_bytes());
        }
        message
    }
}

/// Call `seen(trace id, span id)` with the places of each span's ids; None if it is no message.
pub fn each_span(message: &[u8], mut seen: impl FnMut(Range<usize>, Range<usize>)) -> Option<()> {
    parts(message, 0..message.len(), |number, resource| match number {
        1 => parts(message, resource, |number, scope| match number {
            2 => parts(message, scope, |number, span| match number {
                2 => {
                    let (mut trace, mut id) = (0..0, 0..0);
                    parts(message, span, |number, part| {
                        match number {
                            1 => trace = part,
                            2 => id = part,
                            _ => {}
                        }
                        Some(())
                    })?;
                    seen(trace, id);
                    Some(())
                }
                _ => Some(()),
            }),
            _ => Some(()),
        }),
        _ => Some(()),
    })
}

/// The length-delimited fields of the message at a place.
fn parts(
    data: &[u8],
    place: Range<usize>,
    mut each: impl FnMut(u64, Range<usize>) -> Option<()>,
) -> Option<()> {
    let (mut at, end) = (place.start, place.end);
    let varint = |at: &mut usize| {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *data[..end].get(*at)?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    while at < end {
        let tag = varint(&mut at)?;
        let size = match tag & 7 {
            0 => {
                varint(&mut at)?;
                continue;
            }
            1 => 8,
            2 => varint(&mut at)? as usize,
            5 => 4,
            _ => return None,
        };
        let next = at.checked_add(size).filter(|next| *next <= end)?;
        if tag & 7 == 2 {
            each(tag >> 3, at..next)?;
        }
        at = next;
    }
    Some(())
}

/// A set of serials.
#[derive(Default)]
pub struct Serials {
    words: Vec<u64>,
    pub count: u64,
}

impl Serials {
    /// Whether it is new.
    pub fn insert(&mut self, serial: u64) -> bool {
        let (word, bit) = ((serial / 64) as usize, 1 << (serial % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    fn has(&self, serial: u64) -> bool {
        self.words.get((serial / 64) as usize).is_some_and(|word| word >> (serial % 64) & 1 == 1)
    }

    /// Runs of serials as JSON: `[[first, after the last], …]`.
    pub fn json(&self) -> String {
        let mut runs = Vec::new();
        let mut first = None;
        for serial in 0..=self.words.len() as u64 * 64 {
            match (first, self.has(serial)) {
                (None, true) => first = Some(serial),
                (Some(start), false) => {
                    runs.push(format!("[{start}, {serial}]"));
                    first = None;
                }
                _ => {}
            }
        }
        format!("[{}]", runs.join(", "))
    }
}

/// What one sender's spans came to.
#[derive(Default)]
struct Sender {
    serials: Serials,
    duplicates: u64,
}

/// Every span that a sink has taken, by sender; kept in a file where one is named.
#[derive(Default)]
pub struct Seen {
    senders: BTreeMap<u32, Sender>,
    strangers: u64,
    file: Option<std::fs::File>,
}

impl Seen {
    /// Go on with what an earlier process has seen.
    pub fn open(path: &str) -> std::io::Result<Self> {
        let mut file =
            std::fs::OpenOptions::new().read(true).create(true).append(true).open(path)?;
        let mut kept = Vec::new();
        file.read_to_end(&mut kept)?;
        let mut seen = Self::default();
        for entry in kept.chunks_exact(16) {
            let number = |range: Range<usize>| {
                entry[range].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
            };
            seen.run(number(0..4) as u32, number(8..16), number(4..8));
        }
        Ok(Self { file: Some(file), ..seen })
    }

    fn run(&mut self, sender: u32, first: u64, count: u64) {
        let sender = self.senders.entry(sender).or_default();
        for serial in first..first + count {
            sender.duplicates += u64::from(!sender.serials.insert(serial));
        }
    }

    /// Note all spans of a message; None if it is none, and then nothing is noted.
    pub fn take(&mut self, message: &[u8]) -> Option<u64> {
        let mut runs: Vec<(u32, u64, u64)> = Vec::new();
        let (mut strangers, mut spans) = (0, 0);
        each_span(message, |trace, span| {
            spans += 1;
            match identify(&message[trace], &message[span]) {
                None => strangers += 1,
                Some((sender, serial)) => match runs.last_mut() {
                    Some(run) if run.0 == sender && run.1 + run.2 == serial => run.2 += 1,
                    _ => runs.push((sender, serial, 1)),
                },
            }
        })?;
        self.strangers += strangers;
        let mut entries = Vec::with_capacity(runs.len() * 16);
        for (sender, first, count) in runs {
            self.run(sender, first, count);
            entries.extend(sender.to_be_bytes());
            entries.extend((count as u32).to_be_bytes());
            entries.extend(first.to_be_bytes());
        }
        if let Some(file) = &mut self.file {
            file.write_all(&entries).ok()?;
        }
        Some(spans)
    }

    /// `{"strangers": n, "senders": {"1": {"duplicates": n, "runs": […]}}}`; runs only in full.
    pub fn json(&self, in_full: bool) -> String {
        let senders = self.senders.iter().map(|(number, sender)| {
            let runs = if in_full { sender.serials.json() } else { "[]".into() };
            format!(
                "\"{number}\": {{\"count\": {}, \"duplicates\": {}, \"runs\": {runs}}}",
                sender.serials.count, sender.duplicates
            )
        });
        let senders = senders.collect::<Vec<_>>().join(", ");
        format!("{{\"strangers\": {}, \"senders\": {{{senders}}}}}", self.strangers)
    }
}

fn identify(trace: &[u8], span: &[u8]) -> Option<(u32, u64)> {
    let trace: &[u8; 16] = trace.try_into().ok()?;
    let sender = u32::from_be_bytes([trace[4], trace[5], trace[6], trace[7]]);
    let serial = trace[8..].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let short = u64::from(sender) << 48 | serial;
    let is_ours = trace.starts_with(MARK) && serial < END && span == short.to_be_bytes();
    is_ours.then_some((sender, serial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_knows_each_span_and_counts_the_second_time() {
        let template = Template::new(&mut Random(1), 100, 7);
        let mut seen = Seen::default();
        assert_eq!(seen.take(&template.request(200)), Some(100));
        assert_eq!(seen.take(&template.request(0)), Some(100));
        assert_eq!(seen.take(&template.request(150)), Some(100));
        let expected = "{\"strangers\": 0, \"senders\": {\"7\": {\"count\": 250, \"duplicates\": \
                        50, \"runs\": [[0, 100], [150, 300]]}}}";
        assert_eq!(seen.json(true), expected);
    }

    #[test]
    fn what_is_not_ours_is_a_stranger_and_what_is_cut_is_nothing() {
        let message = request(&mut Random(1), 3);
        let mut seen = Seen::default();
        assert_eq!(seen.take(&message), Some(3));
        assert_eq!(seen.take(&message[..message.len() - 1]), None);
        let mut ours = Template::new(&mut Random(1), 1, 1).request(5);
        let at = ours.windows(4).position(|four| four == MARK).unwrap();
        ours[at + 15] ^= 1;
        assert_eq!(seen.take(&ours), Some(1));
        assert_eq!(seen.json(true), "{\"strangers\": 4, \"senders\": {}}");
    }

    #[test]
    fn what_was_seen_outlives_the_process() {
        let path = std::env::temp_dir().join(format!("heliograph-seen-{}", std::process::id()));
        let path = path.to_str().unwrap();
        let template = Template::new(&mut Random(1), 10, 3);
        for _ in 0..2 {
            Seen::open(path).unwrap().take(&template.request(0)).unwrap();
        }
        let told = Seen::open(path).unwrap().json(false);
        std::fs::remove_file(path).unwrap();
        assert!(told.contains("\"count\": 10, \"duplicates\": 10"), "{told}");
    }
}
