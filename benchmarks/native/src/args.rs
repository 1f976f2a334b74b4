//! Options as `--name value`; a mistake ends the program with one line.

use std::collections::BTreeMap;
use std::str::FromStr;

pub struct Args(BTreeMap<String, String>);

impl Args {
    /// Read the command line; `known` are the options there are.
    pub fn parse(known: &[&str]) -> Self {
        let mut values = BTreeMap::new();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").unwrap_or_default();
            if !known.contains(&name) {
                fail(&format!("{word} is not an option; there are --{}", known.join(" --")));
            }
            let value = words.next().unwrap_or_else(|| fail(&format!("{word} needs a value")));
            values.insert(name.to_owned(), value);
        }
        Self(values)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn get<T: FromStr>(&self, name: &str, default: T) -> T {
        match self.0.get(name) {
            None => default,
            Some(text) => text
                .parse()
                .unwrap_or_else(|_| fail(&format!("--{name} does not understand {text}"))),
        }
    }
}

pub fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2);
}
