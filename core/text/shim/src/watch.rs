//! Memory and time limits for a thread that runs what a model file says.
//!
//! The template engine bounds instructions, but comparing or printing values that share parts can
//! take time and memory without end, and Rust aborts when memory runs out. The allocator therefore
//! watches such a thread. One that goes too far stops inside an allocation for good: it can neither
//! be unwound nor killed safely. What it holds, at most its budget, is lost.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

pub struct Watch {
    /// Bytes the thread may hold.
    pub budget: usize,
    /// Tells the thread to stop.
    pub stop: AtomicBool,
    /// The thread went beyond its budget and has stopped.
    pub exceeded: AtomicBool,
    used: AtomicUsize,
}

impl Watch {
    pub fn new(budget: usize) -> Self {
        let (stop, exceeded) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { budget, stop, exceeded, used: AtomicUsize::new(0) }
    }

    /// Runs `f` on this thread under watch.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> T {
        struct Unwatch;
        impl Drop for Unwatch {
            fn drop(&mut self) {
                WATCH.set(null());
            }
        }
        let _unwatch = Unwatch;
        WATCH.set(self);
        f()
    }

    fn take(&self, n: usize) {
        let used = self.used.load(Relaxed).saturating_add(n);
        if used > self.budget {
            self.exceeded.store(true, Relaxed);
        } else if !self.stop.load(Relaxed) {
            self.used.store(used, Relaxed);
            return;
        }
        loop {
            // SAFETY: waits for a signal and touches nothing.
            unsafe { libc::pause() };
        }
    }

    fn give(&self, n: usize) {
        // Memory from before the watch may come back too.
        self.used.store(self.used.load(Relaxed).saturating_sub(n), Relaxed);
    }
}

thread_local! {
    static WATCH: Cell<*const Watch> = const { Cell::new(null()) };
}

fn with_watch(f: impl FnOnce(&Watch)) {
    let watch = WATCH.try_with(Cell::get).unwrap_or(null());
    // SAFETY: run() clears the pointer before its Watch can go.
    if let Some(watch) = unsafe { watch.as_ref() } {
        f(watch);
    }
}

struct WatchedAllocator;

#[global_allocator]
static ALLOCATOR: WatchedAllocator = WatchedAllocator;

// SAFETY: every call goes to System unchanged, or does not return.
unsafe impl GlobalAlloc for WatchedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        with_watch(|w| w.take(layout.size()));
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        with_watch(|w| w.take(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        with_watch(|w| w.give(layout.size()));
        unsafe { System.dealloc(p, layout) }
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        with_watch(|w| {
            w.take(size);
            w.give(layout.size());
        });
        unsafe { System.realloc(p, layout, size) }
    }
}
