//! Which bytes of a text are what, 64 at a time: the part of reading text that is written once
//! for every instruction set.
//!
//! [`portable`] is the specification, the others are its faster twins and give the same bits; a
//! test holds every kernel of the machine it runs on against a reading byte by byte. A [`Kernel`]
//! exists only where the processor has what it needs, so whoever holds one may use it.

// The only module that may be unsafe: it calls code made for instructions that not every
// processor has, and loads vectors from arrays.
//
// Beside that stands what else needs such an instruction: see [`prefetch`].

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

/// Bytes in a block.
pub const BLOCK_BYTES: usize = 64;

/// Which bytes of a block are what: bit `i` tells of byte `i`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Masks {
    /// ASCII letters and digits.
    pub word: u64,
    /// What is more than a letter, a digit or a separator: `&`, `<` and all that is not ASCII.
    pub special: u64,
    /// `'` and `.`, which change how a lone letter after them is read.
    pub joint: u64,
}

/// One way to tell bytes apart, on a processor that can go it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Isa);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// Why a kernel asked for by name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    #[error("there is no kernel '{0}': the kernels are portable, avx2, avx512 and neon")]
    Unknown(String),
    #[error("this processor cannot run the kernel '{name}': it can run {}", names(.can))]
    Unsupported { name: String, can: Vec<Kernel> },
    #[error("the kernel is '{0}' already")]
    Chosen(&'static str),
}

fn names(kernels: &[Kernel]) -> String {
    kernels.iter().map(|kernel| kernel.name()).collect::<Vec<_>>().join(", ")
}

static ACTIVE: OnceLock<Kernel> = OnceLock::new();

impl Kernel {
    pub const PORTABLE: Kernel = Kernel(Isa::Portable);

    /// The kernel of this process: the one chosen at its start, or else the fastest.
    #[inline]
    pub fn active() -> Kernel {
        *ACTIVE.get_or_init(|| Self::available().pop().unwrap_or(Self::PORTABLE))
    }

    /// Makes the kernel of this name that of the process, before any text was read.
    pub fn choose(name: &str) -> Result<(), KernelError> {
        let kernel = Self::by_name(name)?;
        let active = *ACTIVE.get_or_init(|| kernel);
        if active == kernel { Ok(()) } else { Err(KernelError::Chosen(active.name())) }
    }

    /// The kernel of this name, if this processor can run it.
    pub fn by_name(name: &str) -> Result<Kernel, KernelError> {
        if !["portable", "avx2", "avx512", "neon"].contains(&name) {
            return Err(KernelError::Unknown(name.to_owned()));
        }
        let can = Self::available();
        match can.iter().find(|kernel| kernel.name() == name) {
            Some(kernel) => Ok(*kernel),
            None => Err(KernelError::Unsupported { name: name.to_owned(), can }),
        }
    }

    /// Every kernel that this processor can run, the fastest last.
    pub fn available() -> Vec<Kernel> {
        let mut kernels = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                kernels.push(Kernel(Isa::Avx2));
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                kernels.push(Kernel(Isa::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            kernels.push(Kernel(Isa::Neon));
        }
        kernels
    }

    pub fn name(self) -> &'static str {
        match self.0 {
            Isa::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
        }
    }

    /// Tells the bytes of `blocks` apart, as many as `masks` has room for.
    #[cfg_attr(
        any(target_arch = "x86_64", target_arch = "aarch64"),
        expect(unsafe_code, reason = "calls code for instructions that not every processor has")
    )]
    #[inline]
    pub fn masks(self, blocks: &[[u8; BLOCK_BYTES]], masks: &mut [Masks]) {
        match self.0 {
            Isa::Portable => portable::masks(blocks, masks),
            // SAFETY: this kernel exists only where AVX2 was detected.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::masks_avx2(blocks, masks) },
            // SAFETY: this kernel exists only where AVX-512 F and BW were detected.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { x86::masks_avx512(blocks, masks) },
            // SAFETY: this kernel exists only where NEON was detected.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => unsafe { neon::masks(blocks, masks) },
        }
    }
}

/// Has the processor fetch what stands at a place, and does not wait for it. Elsewhere it does
/// nothing, which is always right.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(unsafe_code, reason = "there is no safe way to ask for it")]
        // SAFETY: every processor of this kind has the instruction, it reads nothing that the
        // program sees, and may be given any address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, byte by byte.
    fn naive_masks(block: &[u8; BLOCK_BYTES]) -> Masks {
        let mask = |is: fn(u8) -> bool| {
            (0..BLOCK_BYTES).fold(0, |mask, at| mask | u64::from(is(block[at])) << at)
        };
        Masks {
            word: mask(|byte| byte.is_ascii_alphanumeric()),
            special: mask(|byte| !byte.is_ascii() || matches!(byte, b'&' | b'<')),
            joint: mask(|byte| matches!(byte, b'\'' | b'.')),
        }
    }

    #[track_caller]
    fn check(blocks: &[[u8; BLOCK_BYTES]]) {
        let expected: Vec<Masks> = blocks.iter().map(naive_masks).collect();
        for kernel in Kernel::available() {
            let mut found = vec![Masks::default(); blocks.len()];
            kernel.masks(blocks, &mut found);
            assert_eq!(found, expected, "{}", kernel.name());
        }
    }

    #[test]
    fn every_byte_is_told_apart_at_every_place_and_alignment() {
        for byte in 0..=u8::MAX {
            for (at, around) in (0..BLOCK_BYTES).zip([0, b'a', b' ', 0xff].into_iter().cycle()) {
                let mut bytes = [around; 4 * BLOCK_BYTES];
                bytes[at + BLOCK_BYTES] = byte;
                check(bytes[at..].as_chunks().0);
            }
        }
    }

    #[test]
    fn blocks_without_room_for_masks_are_left_out() {
        for kernel in Kernel::available() {
            let mut masks = [Masks::default(); 2];
            kernel.masks(&[[b'a'; BLOCK_BYTES]; 3], &mut masks[..1]);
            assert_eq!(masks[0].word, u64::MAX);
            assert_eq!(masks[1], Masks::default());
        }
    }

    #[test]
    fn kernels_go_by_their_names() {
        for kernel in Kernel::available() {
            assert_eq!(Kernel::by_name(kernel.name()), Ok(kernel));
        }
        let unknown = Kernel::by_name("mmx").unwrap_err().to_string();
        assert!(unknown.contains("'mmx'") && unknown.contains("avx512"), "{unknown}");
        let foreign = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
        let foreign = Kernel::by_name(foreign).unwrap_err().to_string();
        assert!(foreign.contains("portable"), "{foreign}");
    }

    proptest! {
        #[test]
        fn every_kernel_gives_the_same_masks(
            bytes in prop::collection::vec(any::<u8>(), 0..1000),
            start in 0..64usize,
        ) {
            check(bytes.get(start..).unwrap_or_default().as_chunks().0);
        }
    }
}
