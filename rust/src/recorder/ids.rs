//! Random ids: xoshiro256++ (Blackman and Vigna), seeded by the operating system in each process.

use super::fork;

pub struct Ids {
    state: [u64; 4],
    generation: u64,
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}

impl Ids {
    /// Seeded at its first use.
    pub const fn new() -> Self {
        Self { state: [0; 4], generation: 0 }
    }

    #[cold]
    fn seed(&mut self) {
        self.generation = fork::generation();
        self.state = [0; 4];
        while self.state == [0; 4] {
            self.fill();
        }
    }

    fn fill(&mut self) {
        let mut bytes = [0; size_of::<[u64; 4]>()];
        if getrandom::fill(&mut bytes).is_ok() {
            for (word, eight) in self.state.iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_ne_bytes(*eight);
            }
        } else {
            // Without the system's randomness, what differs between processes and moments must do.
            let pid = u64::from(std::process::id());
            self.state = [pid, super::clock::now(), fork::generation(), 0x9e37_79b9_7f4a_7c15];
        }
    }

    fn next(&mut self) -> u64 {
        if self.generation != fork::generation() {
            self.seed();
        }
        let state = &mut self.state;
        let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    pub fn span_id(&mut self) -> u64 {
        loop {
            let id = self.next();
            if id != 0 {
                return id;
            }
        }
    }

    pub fn trace_id(&mut self) -> u128 {
        loop {
            let id = u128::from(self.next()) << 64 | u128::from(self.next());
            if id != 0 {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let (mut one, mut other) = (Ids::new(), Ids::new());
        let mut found: Vec<u128> = (0..1000).map(|_| one.trace_id()).collect();
        found.extend((0..1000).map(|_| other.trace_id()));
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 2000);
    }
}
