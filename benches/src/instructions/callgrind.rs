//! Switches callgrind's counting on and off from within the program that it counts.
//!
//! Valgrind recognises a sequence of instructions that does nothing on the processor itself. The sequence and the
//! numbers are part of Valgrind's stable interface, `valgrind.h` and `callgrind.h`. The crates that wrap these headers
//! want libclang and Valgrind's headers where the benches are compiled, which is more than two requests are worth.

/// `VG_USERREQ_TOOL_BASE('C', 'T')` of `callgrind.h`.
const CALLGRIND: u32 = (b'C' as u32) << 24 | (b'T' as u32) << 16;
const START_INSTRUMENTATION: u32 = CALLGRIND + 4;
const STOP_INSTRUMENTATION: u32 = CALLGRIND + 5;

/// Counts what `work` does, on all threads of the process.
pub fn count<T>(work: impl FnOnce() -> T) -> T {
    request(START_INSTRUMENTATION);
    let result = work();
    request(STOP_INSTRUMENTATION);
    result
}

/// Sends Valgrind a request without arguments.
#[inline(never)]
fn request(code: u32) {
    let arguments: [u64; 6] = [code.into(), 0, 0, 0, 0, 0];
    #[cfg(target_arch = "x86_64")]
    // SAFETY: on the processor the four rotations turn rdi by 128 bits, which leaves it as it was, and exchanging rbx
    // with itself does nothing. Under Valgrind the sequence reads the six numbers at rax, which live until the end of
    // this function, and writes rdx, which is declared as written. The flags are not declared as preserved.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            inout("rdx") 0_u64 => _,
            in("rax") &raw const arguments,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: on the processor the four rotations turn x12 by 128 bits, which leaves it as it was, and an `orr` of x10
    // with itself does nothing. Under Valgrind the sequence reads the six numbers at x4, which live until the end of
    // this function, and writes x3, which is declared as written.
    unsafe {
        std::arch::asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            inout("x3") 0_u64 => _,
            in("x4") &raw const arguments,
            options(nostack),
        );
    }
    // On other processors nothing is asked, and nothing is counted.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = arguments;
}
