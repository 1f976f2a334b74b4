//! JSON text to wire bytes, in one pass over the text.

use super::super::WireError;
use super::super::proto::{
    MAX_DEPTH, WireType, close, open, put_bytes_field, put_tag, put_varint, zigzag,
};
use super::super::schema::{Cardinality, Field, Kind, Message};
use super::scanner::{Failure, Scanner, Text};
use super::text::{read_base64, read_hex};
use super::{enums, number};

/// Translate a request. What comes out is canonical but for the order of the fields.
pub fn read(root: &'static Message, text: &[u8]) -> Result<Vec<u8>, WireError> {
    let text = std::str::from_utf8(text).map_err(|error| WireError {
        offset: error.valid_up_to(),
        message: "is not UTF-8".into(),
    })?;
    let mut reader = Reader {
        json: Scanner::new(text),
        // Text is seldom shorter than what it says; where it is, the vector grows.
        out: Vec::with_capacity(text.len() / 2),
        depth: 0,
    };
    reader.json.blank();
    reader
        .message(root)
        .and_then(|()| reader.json.end())
        .map_err(|failure| failure.into_error())?;
    Ok(reader.out)
}

struct Reader<'a> {
    json: Scanner<'a>,
    out: Vec<u8>,
    depth: usize,
}

type Outcome<T> = Result<T, Box<Failure>>;

impl<'a> Reader<'a> {
    /// The fields of a message, without tag and length.
    fn message(&mut self, message: &'static Message) -> Outcome<()> {
        self.json.expect(b'{', "is not an object")?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.json.failure("is nested too deep"));
        }
        let mut seen = 0u32;
        let mut chosen = None;
        let mut next = 0;
        if !self.json.closes(b'}') {
            loop {
                let start = self.json.at;
                let key = self.json.key()?;
                if let Some(index) = find(message, &key, next) {
                    next = index + 1;
                    let field = &message.fields[index];
                    self.field(field, index, start, &mut seen, &mut chosen)
                        .map_err(|failure| failure.within(field.json))?;
                } else {
                    self.json.skip(self.depth).map_err(|failure| failure.within_name(&key))?;
                }
                if !self.json.follows(b'}')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn field(
        &mut self,
        field: &'static Field,
        index: usize,
        start: usize,
        seen: &mut u32,
        chosen: &mut Option<&'static str>,
    ) -> Outcome<()> {
        if self.json.null() {
            return Ok(());
        }
        if *seen & 1 << index != 0 {
            return Err(self.json.failure_at(start, "appears twice"));
        }
        *seen |= 1 << index;
        match field.cardinality {
            Cardinality::Many => self.repeated(field),
            Cardinality::Oneof => match chosen.replace(field.json) {
                None => self.value(field, true),
                Some(other) => {
                    let message = format!("stands beside {other}, and there can be only one");
                    Err(self.json.failure_at(start, message))
                }
            },
            Cardinality::Optional => self.value(field, true),
            Cardinality::One => self.value(field, false),
        }
    }

    fn repeated(&mut self, field: &'static Field) -> Outcome<()> {
        self.json.expect(b'[', "is not an array")?;
        if self.json.closes(b']') {
            return Ok(());
        }
        if !field.kind.packs() {
            return self.elements(|reader| reader.value(field, true));
        }
        let packed = open(&mut self.out, field.number, 0);
        self.elements(|reader| {
            let bits = reader.scalar(field)?;
            reader.put(field.kind.wire_type(), bits);
            Ok(())
        })?;
        close(&mut self.out, packed);
        Ok(())
    }

    /// What stands between the brackets of an array that is not empty.
    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Outcome<()>) -> Outcome<()> {
        let mut index = 0;
        loop {
            element(self).map_err(|failure| failure.at(index))?;
            index += 1;
            if !self.json.follows(b']')? {
                return Ok(());
            }
        }
    }

    /// One value with its tag; a default is written only where `explicit`.
    fn value(&mut self, field: &'static Field, explicit: bool) -> Outcome<()> {
        let start = self.json.at;
        match field.kind {
            Kind::Message(message) => {
                let nested = open(&mut self.out, field.number, 0);
                self.message(message)?;
                close(&mut self.out, nested);
            }
            Kind::String => {
                let text = self.json.string()?;
                if explicit || !text.is_empty() {
                    put_bytes_field(&mut self.out, field.number, text.as_bytes());
                }
            }
            Kind::Bytes | Kind::Id => {
                let text = self.json.string()?;
                if explicit || !text.is_empty() {
                    let nested = open(&mut self.out, field.number, 0);
                    self.binary(field, start, &text)?;
                    close(&mut self.out, nested);
                }
            }
            kind => {
                let bits = self.scalar(field)?;
                if explicit || bits != 0 {
                    put_tag(&mut self.out, field.number, kind.wire_type());
                    self.put(kind.wire_type(), bits);
                }
            }
        }
        Ok(())
    }

    fn binary(&mut self, field: &Field, start: usize, text: &Text) -> Outcome<()> {
        if matches!(field.kind, Kind::Id) {
            let digits = if field.name == "trace_id" { 32 } else { 16 };
            if text.len() != digits || read_hex(text.as_bytes(), &mut self.out).is_none() {
                let message = format!("is not {digits} hex digits");
                return Err(self.json.failure_at(start, message));
            }
        } else if read_base64(text.as_bytes(), &mut self.out).is_none() {
            return Err(self.json.failure_at(start, "is not base64"));
        }
        Ok(())
    }

    /// The bits that the wire has for a number or a bool.
    fn scalar(&mut self, field: &Field) -> Outcome<u64> {
        Ok(match field.kind {
            Kind::Double => self.double()?.to_bits(),
            Kind::Fixed64 | Kind::Uint64 => self.integer(0, u64::MAX.into())? as u64,
            Kind::Sfixed64 | Kind::Int64 => self.integer(i64::MIN.into(), i64::MAX.into())? as u64,
            Kind::Fixed32 | Kind::Uint32 => self.integer(0, u32::MAX.into())? as u64,
            Kind::Int32 => self.integer(i32::MIN.into(), i32::MAX.into())? as u64,
            Kind::Sint32 => zigzag(self.integer(i32::MIN.into(), i32::MAX.into())? as i32).into(),
            Kind::Bool => self.json.bool()?.into(),
            Kind::Enum => self.named(enums::names(field))?,
            Kind::String | Kind::Bytes | Kind::Id | Kind::Message(_) => {
                return Err(self.json.failure("is not a number"));
            }
        })
    }

    fn put(&mut self, wire: WireType, bits: u64) {
        match wire {
            WireType::Fixed64 => self.out.extend_from_slice(&bits.to_le_bytes()),
            WireType::Fixed32 => self.out.extend_from_slice(&(bits as u32).to_le_bytes()),
            _ => put_varint(&mut self.out, bits),
        }
    }

    /// The digits of a number, whether or not they stand in quotes.
    fn digits(&mut self) -> Outcome<Text<'a>> {
        if self.json.peek() == Some(b'"') {
            self.json.string()
        } else {
            self.json.number().map(Text::Borrowed)
        }
    }

    fn integer(&mut self, low: i128, high: i128) -> Outcome<i128> {
        let start = self.json.at;
        let digits = self.digits()?;
        number::integer(&digits, low, high).map_err(|message| self.json.failure_at(start, message))
    }

    fn double(&mut self) -> Outcome<f64> {
        let start = self.json.at;
        let digits = self.digits()?;
        number::double(&digits).map_err(|message| self.json.failure_at(start, message))
    }

    fn named(&mut self, names: &[&str]) -> Outcome<u64> {
        let start = self.json.at;
        let digits = self.digits()?;
        if let Some(value) = names.iter().position(|name| *name == &*digits) {
            return Ok(value as u64);
        }
        number::integer(&digits, i32::MIN.into(), i32::MAX.into())
            .map(|value| value as u64)
            .map_err(|_| self.json.failure_at(start, "is neither a number nor a name of the enum"))
    }
}

/// The field of that name; senders keep an order, so the search begins at `next`.
fn find(message: &Message, key: &str, next: usize) -> Option<usize> {
    let fields = message.fields;
    let named = |index: &usize| fields[*index].json == key || fields[*index].name == key;
    (next..fields.len()).chain(0..next.min(fields.len())).find(named)
}
