//! The tokens of JSON (RFC 8259), and where one of them is wrong.

use std::borrow::Cow;

use super::super::WireError;
use super::super::proto::MAX_DEPTH;

pub type Text<'a> = Cow<'a, str>;

/// What is wrong, where, and within which fields. The path grows while the readers return.
pub struct Failure {
    offset: usize,
    message: Cow<'static, str>,
    /// From the innermost outwards.
    path: Vec<Step>,
}

enum Step {
    Name(Cow<'static, str>),
    Index(usize),
}

impl Failure {
    pub fn within(mut self: Box<Self>, name: &'static str) -> Box<Self> {
        self.path.push(Step::Name(Cow::Borrowed(name)));
        self
    }

    pub fn within_name(mut self: Box<Self>, name: &str) -> Box<Self> {
        self.path.push(Step::Name(Cow::Owned(name.chars().take(64).collect())));
        self
    }

    pub fn at(mut self: Box<Self>, index: usize) -> Box<Self> {
        self.path.push(Step::Index(index));
        self
    }

    pub fn into_error(self) -> WireError {
        let mut message = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Name(name) if message.is_empty() => message.push_str(name),
                Step::Name(name) => {
                    message.push('.');
                    message.push_str(name);
                }
                Step::Index(index) => message.push_str(&format!("[{index}]")),
            }
        }
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&self.message);
        WireError { offset: self.offset, message }
    }
}

type Outcome<T> = Result<T, Box<Failure>>;

/// A place in a JSON text. Between two calls it stands on the first byte of a token.
pub struct Scanner<'a> {
    text: &'a str,
    pub at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub fn failure(&self, message: impl Into<Cow<'static, str>>) -> Box<Failure> {
        self.failure_at(self.at, message)
    }

    pub fn failure_at(&self, offset: usize, message: impl Into<Cow<'static, str>>) -> Box<Failure> {
        let message = if offset >= self.text.len() {
            Cow::Borrowed("ends too early")
        } else {
            message.into()
        };
        Box::new(Failure { offset, message, path: Vec::new() })
    }

    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Step over white space.
    pub fn blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Step over one byte and the white space behind it.
    pub fn expect(&mut self, byte: u8, otherwise: &'static str) -> Outcome<()> {
        if self.peek() != Some(byte) {
            return Err(self.failure(otherwise));
        }
        self.at += 1;
        self.blank();
        Ok(())
    }

    /// Step over the bracket, if it is the next token.
    pub fn closes(&mut self, bracket: u8) -> bool {
        let closes = self.peek() == Some(bracket);
        if closes {
            self.at += 1;
            self.blank();
        }
        closes
    }

    /// Step over what follows an element: true for a comma, false for the closing bracket.
    pub fn follows(&mut self, bracket: u8) -> Outcome<bool> {
        if self.closes(bracket) {
            return Ok(false);
        }
        let expected = if bracket == b'}' { "lacks a comma or }" } else { "lacks a comma or ]" };
        self.expect(b',', expected)?;
        Ok(true)
    }

    /// Nothing may follow.
    pub fn end(&self) -> Outcome<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.failure("something follows the end of the request")),
        }
    }

    /// A name and its colon.
    pub fn key(&mut self) -> Outcome<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.failure("lacks a name in quotes"));
        }
        let key = self.string()?;
        self.expect(b':', "lacks a colon")?;
        Ok(key)
    }

    /// Step over `null`, if it is the next token.
    pub fn null(&mut self) -> bool {
        self.peek() == Some(b'n') && self.word("null")
    }

    pub fn bool(&mut self) -> Outcome<bool> {
        if self.word("true") {
            Ok(true)
        } else if self.word("false") {
            Ok(false)
        } else {
            Err(self.failure("is neither true nor false"))
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let is_next = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        if is_next {
            self.at += word.len();
            self.blank();
        }
        is_next
    }

    /// The text of a number, which has the form that JSON prescribes.
    pub fn number(&mut self) -> Outcome<&'a str> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let Some(length) = super::number::length(rest) else {
            return Err(self.failure("is not a number"));
        };
        self.at += length;
        self.blank();
        Ok(&self.text[start..start + length])
    }

    /// A string, its escapes resolved.
    pub fn string(&mut self) -> Outcome<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.failure("is not a string"));
        }
        self.at += 1;
        let start = self.at;
        self.plain();
        if self.peek() == Some(b'"') {
            let text = &self.text[start..self.at];
            self.at += 1;
            self.blank();
            return Ok(Cow::Borrowed(text));
        }
        let mut text = String::from(&self.text[start..self.at]);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.blank();
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => {
                    return Err(self.failure("has a control character that is not escaped"));
                }
                None => return Err(self.failure("ends within a string")),
            }
            let start = self.at;
            self.plain();
            text.push_str(&self.text[start..self.at]);
        }
    }

    /// Step over what stands for itself in a string.
    fn plain(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
        self.at += stop.unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Outcome<char> {
        let start = self.at;
        let kind = self.text.as_bytes().get(start + 1).copied();
        self.at += 2;
        let character = match kind {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte.into(),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.unit(start)?;
                let code = if (0xd800..0xdc00).contains(&first)
                    && self.text.as_bytes()[self.at..].starts_with(b"\\u")
                {
                    self.at += 2;
                    let second = self.unit(start)?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(self.failure_at(start, "has a surrogate without its pair"));
                    }
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                let Some(character) = char::from_u32(code) else {
                    return Err(self.failure_at(start, "has a surrogate without its pair"));
                };
                character
            }
            _ => return Err(self.failure_at(start, "has an unknown escape")),
        };
        Ok(character)
    }

    /// The four hex digits of `\u`.
    fn unit(&mut self, start: usize) -> Outcome<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let value = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        value.ok_or_else(|| self.failure_at(start, "has \\u without four hex digits"))
    }

    /// Step over any value, which must be valid JSON; `depth` counts the values it is in.
    pub fn skip(&mut self, depth: usize) -> Outcome<()> {
        if depth > MAX_DEPTH {
            return Err(self.failure("is nested too deep"));
        }
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => {
                self.expect(b'{', "")?;
                if self.closes(b'}') {
                    return Ok(());
                }
                loop {
                    self.key()?;
                    self.skip(depth + 1)?;
                    if !self.follows(b'}')? {
                        return Ok(());
                    }
                }
            }
            Some(b'[') => {
                self.expect(b'[', "")?;
                if self.closes(b']') {
                    return Ok(());
                }
                loop {
                    self.skip(depth + 1)?;
                    if !self.follows(b']')? {
                        return Ok(());
                    }
                }
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            _ if self.word("null") || self.word("true") || self.word("false") => Ok(()),
            _ => Err(self.failure("is not JSON")),
        }
    }
}
