//! Memory and time limits for a thread that runs what a model file says.
//!
//! The template engine bounds instructions, but comparing or printing values that share parts can
//! take time and memory without end, and Rust aborts when memory runs out. The allocator therefore
//! watches such a thread. One that goes too far stops inside an allocation for good: it can neither
//! be unwound nor killed safely. What it holds, at most its budget, is lost.

use crate::error::{fail, guard, Code, Outcome};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::thread::{current, park_timeout, Builder};
use std::time::{Duration, Instant};

/// What a piece of work may take.
pub struct Bounds {
    /// Only what is touched becomes memory.
    pub stack_bytes: usize,
    pub memory_bytes: usize,
    pub time: Duration,
}

/// Why work had to be stopped by force.
pub enum Stopped {
    Memory,
    Time,
}

/// Runs `work` on a thread of its own within `bounds`.
pub fn bounded<T: Send + 'static>(
    what: &str,
    bounds: Bounds,
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Result<Outcome<T>, Stopped> {
    let deadline = Instant::now() + bounds.time;
    let watch = Arc::new(Watch::new(bounds.memory_bytes));
    let watched = {
        let (watch, caller) = (watch.clone(), current());
        move || {
            let result = guard(|| watch.run(work));
            watch.done.store(true, Relaxed);
            caller.unpark();
            result
        }
    };
    let thread = match Builder::new().stack_size(bounds.stack_bytes).spawn(watched) {
        Ok(thread) => thread,
        Err(e) => return Ok(fail(Code::OomHost, format!("a thread for {what}: {e}"))),
    };
    loop {
        if watch.done.load(Relaxed) || thread.is_finished() {
            // Only by the join does the result come over, which ThreadSanitizer sees too.
            return Ok(thread.join().unwrap_or_else(|_| {
                fail(Code::Internal, format!("the thread of {what} died"))
            }));
        }
        park_timeout(Duration::from_millis(10));
        if watch.exceeded.load(Relaxed) {
            return Err(Stopped::Memory);
        }
        if Instant::now() > deadline {
            watch.stop.store(true, Relaxed);
            return Err(Stopped::Time);
        }
    }
}

struct Watch {
    /// Bytes the thread may hold.
    budget: usize,
    /// Tells the thread to stop.
    stop: AtomicBool,
    /// The thread went beyond its budget and has stopped.
    exceeded: AtomicBool,
    /// The work is done, or has failed.
    done: AtomicBool,
    used: AtomicUsize,
}

impl Watch {
    fn new(budget: usize) -> Self {
        let no = || AtomicBool::new(false);
        Self { budget, stop: no(), exceeded: no(), done: no(), used: AtomicUsize::new(0) }
    }

    /// Runs `f` on this thread under watch.
    fn run<T>(&self, f: impl FnOnce() -> T) -> T {
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
