//! How much memory what is fed may take: the allocator counts.

use peak_alloc::PeakAlloc;

/// Runs an oracle, which may take so many times the memory of its input, and some more: its own copies of what
/// was read are counted as well.
pub fn bounded(oracle: fn(&[u8]), input: &[u8]) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    oracle(input);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    let allowed = ALWAYS + TIMES * input.len();
    let length = input.len();
    assert!(taken <= allowed, "{taken} bytes for an input of {length}, of {allowed} allowed");
}

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Buffers, and what a directory, a run and a sync take.
const ALWAYS: usize = 4 << 20;

const TIMES: usize = 64;
