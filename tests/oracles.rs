//! The oracles of the fuzz targets, replayed on stored inputs and on seeded mutations of them.
//!
//! An input that once failed belongs into `fuzz/regressions/<oracle>/`, with a line in the README there.

#[path = "../fuzz/oracles.rs"]
mod oracles;

use std::path::Path;

#[test]
fn stored_inputs_and_their_mutations_hold() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, oracle) in oracles::ALL {
        let mut seeds = files(&fuzz.join("seeds").join(name));
        assert!(!seeds.is_empty(), "no seeds for {name}");
        seeds.extend(files(&fuzz.join("regressions").join(name)));
        seeds.iter().for_each(|seed| oracles::bounded(*oracle, seed));
        // What grows faster than its input is seen where there is much of it.
        let longest = seeds.iter().max_by_key(|seed| seed.len()).expect("there are some");
        let times = REPEATED / longest.len().max(1);
        oracles::bounded(*oracle, &longest.repeat(times.min(1000)));
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..ROUNDS {
            let mut input = seeds[round % seeds.len()].clone();
            if input.len() > 20_000 && round % 16 != 0 {
                continue;
            }
            mutate(&mut input, &mut random);
            oracles::bounded(*oracle, &input);
        }
    }
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

fn mutate(input: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len());
        match random.below(5) {
            0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
            1 if !input.is_empty() => input[at] = random.below(256) as u8,
            2 => input.truncate(at),
            3 => input.insert(at, random.below(256) as u8),
            _ => {
                let from = random.below(input.len());
                let piece = input[from..input.len().min(from + random.below(64))].to_vec();
                input.splice(at..at, piece);
            }
        }
    }
}

/// A multiplicative generator, enough to pick positions: the same inputs in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

const ROUNDS: usize = 3000;

/// Bytes that the longest input of an oracle is repeated to.
const REPEATED: usize = 256 << 10;
