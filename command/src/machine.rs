//! What the command needs of the machine: looked for at the start, so that a limit that is met says its name.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use cofferdam::limit;
use tokio::runtime::Runtime;

use crate::failure::Failure;
use crate::output::say;

/// Threads: those of the runtime, one for what blocks, one that watches components, and one to spare.
const THREADS: usize = 5;

/// Files: those of the runtime and of signals, the component, and a database with its log and its readers.
const FILES: usize = 40;

/// Places for memory where most threads have nothing to do at most times.
pub const FEW: usize = 2;

/// The stack on which the command runs, where the system gives less.
const STACK: usize = 4 << 20;

/// Ends the process with a sentence where there is no memory left, which Rust would abort for.
struct Memory;

/// Nobody can go on who is refused less. More may be asked for by somebody who can; where he cannot, an abort follows.
const LITTLE: usize = 1 << 20;

#[global_allocator]
static MEMORY: Memory = Memory;

static IS_REFUSED: AtomicBool = AtomicBool::new(false);

fn noted(given: *mut u8, size: usize) -> *mut u8 {
    if given.is_null() {
        if size < LITTLE {
            // Rust may be in the middle of a line about what another thread was refused.
            end_without_memory(if IS_REFUSED.load(Ordering::Relaxed) { "\n" } else { "" });
        }
        IS_REFUSED.store(true, Ordering::Relaxed);
    }
    given
}

/// Takes no memory, and may be called in a handler of signals.
fn end_without_memory(before: &str) -> ! {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if !IS_TOLD.swap(true, Ordering::Relaxed) {
        let line = [before, "cofferdam: ", limit::MEMORY, "\n"]
            .map(|text| libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() });
        // In one call, so that no other thread's words come in between.
        // SAFETY: `writev` reads as many slices as there are, and no more of each than its bytes.
        unsafe { libc::writev(2, line.as_ptr(), line.len() as libc::c_int) };
    } else {
        // Another thread is telling it, and ends the process.
        // SAFETY: `sleep` takes a number.
        unsafe { libc::sleep(1) };
    }
    // SAFETY: `_exit` ends the process, whatever its state.
    unsafe { libc::_exit(crate::failure::FAILED.into()) }
}

// SAFETY: every call goes to the system's allocator as it came, and its answer back as it is.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to what `alloc` demands, which is the same of both.
        noted(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        noted(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the block came from the system's allocator, since all of them do.
        noted(unsafe { System.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Ends the process with a sentence where Rust aborts it for want of memory, and as it was otherwise.
extern "C" fn aborted(signal: libc::c_int) {
    if IS_REFUSED.load(Ordering::Relaxed) {
        end_without_memory("");
    }
    // SAFETY: both may be called in a handler of signals; the second time the signal ends the process.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Has limits end in errors that are told, instead of in signals that end the process.
pub fn prepare() {
    // SAFETY: `signal` sets what happens at two signals; the handler does only what one may do.
    unsafe {
        // A file at its limit is an error of the write.
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::signal(libc::SIGABRT, aborted as extern "C" fn(libc::c_int) as libc::sighandler_t);
    }
    if limits_of(libc::RLIMIT_AS).is_some_and(|limits| limits.rlim_cur != libc::RLIM_INFINITY) {
        share_memory(FEW);
    }
    // Where both limits on processor time are one, the system kills without a warning.
    if let Some(mut limits) = limits_of(libc::RLIMIT_CPU)
        && limits.rlim_max != libc::RLIM_INFINITY
        && limits.rlim_cur >= limits.rlim_max
        && limits.rlim_max > 1
    {
        limits.rlim_cur = limits.rlim_max - 1;
        // SAFETY: `setrlimit` reads the struct, which is whole. Where it fails things stay as they were.
        unsafe { libc::setrlimit(libc::RLIMIT_CPU, &limits) };
    }
}

/// Lets all threads take memory from a few places, and what is larger than 128 KiB, such as a page's columns or a component, from
/// the system. By default each thread has a place of its own, of 64 MiB of addresses, and keeps there what another could use for the
/// next page, and the more of the large blocks the more of them there were.
pub fn share_memory(places: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes two numbers and sets a parameter of the allocator, under the allocator's own lock. These change
    // where memory comes from later, and nothing that was handed out.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, libc::c_int::try_from(places).unwrap_or(libc::c_int::MAX));
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
    }
}

fn limits_of(resource: libc::__rlimit_resource_t) -> Option<libc::rlimit> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `getrlimit` writes the struct, which is whole before and after.
    let found = unsafe { libc::getrlimit(resource, &mut limits) } == 0;
    found.then_some(limits)
}

/// Raises the limit of open files to what is wanted, as far as the system lets, and says what it is then.
pub fn raise_files(wanted: u64) -> u64 {
    let Some(mut limits) = limits_of(libc::RLIMIT_NOFILE) else { return wanted };
    if limits.rlim_cur < wanted {
        let before = limits.rlim_cur;
        limits.rlim_cur = wanted.min(limits.rlim_max);
        // SAFETY: `setrlimit` reads the struct, which is whole. Where it fails things stay as they were.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limits) } != 0 {
            return before;
        }
    }
    limits.rlim_cur
}

/// Runs this on a stack that is large enough.
pub fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
    if limits_of(libc::RLIMIT_STACK).is_none_or(|limits| limits.rlim_cur >= STACK as libc::rlim_t) {
        return Ok(work());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("main".into()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| too_small(&error))?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Fails where the machine has not what any command needs.
pub fn examine() -> Result<(), Failure> {
    can_make_threads(THREADS).map_err(|error| too_small(&error))?;
    let stdin = io::stdin();
    let files: Result<Vec<_>, _> = (0..FILES).map(|_| stdin.as_fd().try_clone_to_owned()).collect();
    files.map(drop).map_err(|error| too_small(&error))
}

fn too_small(error: &io::Error) -> Failure {
    Failure::failed(format!(
        "the command needs {THREADS} threads and {FILES} open files, and cannot have them: {}",
        limit::explain(error)
    ))
}

/// Whether as many threads can be made, beside those that are there.
pub fn can_make_threads(count: usize) -> io::Result<()> {
    std::thread::scope(|scope| {
        // They end when the senders are gone.
        let mut running = Vec::with_capacity(count);
        for _ in 0..count {
            let (end, ended) = mpsc::channel::<()>();
            std::thread::Builder::new().spawn_scoped(scope, move || ended.recv())?;
            running.push(end);
        }
        Ok(())
    })
}

/// Has the runtime make a thread for what blocks in libraries, such as looking up names. It panics, or waits for ever, where it
/// cannot make the first one when that is needed.
pub fn reserve_thread(runtime: &Runtime) -> Result<(), Failure> {
    let (say, hear) = mpsc::channel();
    drop(runtime.spawn_blocking(move || say.send(())));
    hear.recv_timeout(Duration::from_secs(10)).map_err(|_| too_small(&io::Error::from_raw_os_error(libc::EAGAIN)))
}

/// Where the log goes. One that cannot be written keeps nothing from going on.
pub struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::Write::write_all(&mut io::stderr().lock(), bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says what a panic was, in one line, where there is somebody to hear it.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        // Libraries panic where the system refuses them memory or a thread.
        if let Some(limit) = limit::of_text(&panic.to_string()) {
            say(&format!("cofferdam: {limit}"));
            // SAFETY: `_exit` ends the process, whatever its state.
            unsafe { libc::_exit(crate::failure::FAILED.into()) }
        }
        say(&format!("cofferdam: a bug, which should be reported: {}", panic.to_string().replace('\n', " ")));
    }));
}
