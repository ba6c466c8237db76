//! Numbers too small to be normal, which many processors compute many times as slowly as others. They come up where
//! factors multiply: gradients of examples that hardly weigh, tails of a softmax. GPUs may take them for zeros; the threads of this
//! engine do.
#![expect(unsafe_code, reason = "the state of a thread's arithmetic is a register of the processor")]

/// Lets the calling thread take subnormal numbers for zeros from now on, those that it is given and those that it makes: for threads
/// that do nothing but run kernels. Elsewhere than on x86-64 and aarch64 nothing changes.
///
/// Compilers take it that this state is as it was at the start of the program. What they may compute by themselves because of that is
/// a constant, in which a number below 2⁻¹²⁶ would be kept; no kernel has one.
pub fn become_zeros() {
    #[cfg(target_arch = "x86_64")]
    {
        const FLUSH_TO_ZERO: u32 = 1 << 15;
        const DENORMALS_ARE_ZEROS: u32 = 1 << 6;
        let mut state = 0_u32;
        // SAFETY: MXCSR is stored to and loaded from a word of this frame; what changes is said above.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut state, options(nostack, preserves_flags));
            state |= FLUSH_TO_ZERO | DENORMALS_ARE_ZEROS;
            std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const state, options(nostack, preserves_flags));
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        const FLUSH_TO_ZERO: u64 = 1 << 24;
        let mut state: u64;
        // SAFETY: FPCR is read and written; what changes is said above.
        unsafe {
            std::arch::asm!("mrs {}, fpcr", out(reg) state, options(nomem, nostack, preserves_flags));
            state |= FLUSH_TO_ZERO;
            std::arch::asm!("msr fpcr, {}", in(reg) state, options(nomem, nostack, preserves_flags));
        }
    }
}

#[cfg(test)]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod tests {
    use crate::exec::cpu::Cpu;
    use std::hint::black_box;

    /// One that is made, and one that is given.
    fn products() -> [f32; 2] {
        [black_box(f32::MIN_POSITIVE) * black_box(0.5), black_box(f32::MIN_POSITIVE / 2.0) * black_box(1e20)]
    }

    #[test]
    fn threads_of_the_engine_take_them_for_zeros_and_the_callers_does_not() {
        let engine = Cpu::new(2).expect("two threads start");
        assert_eq!(engine.pool.broadcast(|_| products()), [[0.0; 2]; 2]);
        assert!(products().iter().all(|&x| x > 0.0), "{:?}", products());
    }
}
