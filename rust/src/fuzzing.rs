//! Fuzzing: what is done with one input of bytes from outside. Each target panics when something
//! does not hold. `fuzz/` drives them with libFuzzer; here the committed inputs are run as tests.

use crate::edges::{self, client, server};
use crate::journal;
use crate::wire::fuzz as wire;

/// A target's name, which is its corpus' folder, and what it does.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 15] = [
    ("scan", wire::scan),
    ("project", wire::project),
    ("cut", wire::cut::cut),
    ("edit", wire::edit::edit),
    ("json", wire::json::json),
    ("wire_json", wire::json::wire_json),
    ("path", wire::text::path),
    ("value", wire::text::value),
    ("loki", wire::text::loki),
    ("decompress", edges::fuzz::decompress),
    ("body", server::fuzz::body),
    ("frames", server::fuzz::frames),
    ("server", server::fuzz::server),
    ("answer", client::fuzz::answer),
    ("journal", journal::fuzz::journal),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Committed inputs: a small corpus, and what once went wrong.
    fn run(name: &str) {
        let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        let mut inputs = 0;
        for folder in ["corpus", "findings"] {
            let Ok(files) = root.join(folder).join(name).read_dir() else { continue };
            for file in files {
                let path = file.unwrap().path();
                // Told by the test runner when the target panics.
                println!("{}", path.display());
                target(&std::fs::read(path).unwrap());
                inputs += 1;
            }
        }
        assert!(inputs > 0, "there are no inputs for {name}");
    }

    macro_rules! tests {
        ($($name:ident)*) => {
            $(#[test] fn $name() { run(stringify!($name)); })*

            #[test]
            fn every_target_has_a_test() {
                let tested = [$(stringify!($name)),*];
                assert!(TARGETS.iter().all(|(name, _)| tested.contains(name)));
            }
        };
    }

    tests! {
        scan project cut edit json wire_json path value loki decompress body frames server answer
        journal
    }
}
