//! One program for all targets: `HELIOGRAPH_FUZZ=scan heliograph-fuzz CORPUS… -libfuzzer_flags`.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use heliograph_core::fuzzing::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

/// What one input may take at its peak, beside a multiple of its own size.
const BASE: usize = 24 << 20;
const TIMES: usize = 512;

/// Counts what is allocated now, and the most since the last input.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all work is the system allocator's; this only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn target() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("HELIOGRAPH_FUZZ").unwrap_or_default();
        let known: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        let found = TARGETS.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("HELIOGRAPH_FUZZ is one of {}", known.join(", ")))
    })
}

fuzz_target!(|data: &[u8]| {
    let (name, run) = target();
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    run(data);
    let most = PEAK.load(Relaxed).saturating_sub(before);
    let allowed = BASE + TIMES * data.len();
    assert!(most <= allowed, "{name}: {most} bytes at the peak, {allowed} allowed");
});
