//! AVX2: 32 bytes at a time. AVX-512: a whole block, compared straight into masks.

use std::arch::x86_64::*;

use super::{BLOCK_BYTES, Masks};

#[target_feature(enable = "avx2")]
pub fn masks_avx2(blocks: &[[u8; BLOCK_BYTES]], masks: &mut [Masks]) {
    for (block, masks) in blocks.iter().zip(masks) {
        let [low, high] = block.as_chunks::<32>().0 else { continue };
        let (low, high) = (masks_of_half(low), masks_of_half(high));
        *masks = Masks {
            word: low.word | high.word << 32,
            special: low.special | high.special << 32,
            joint: low.joint | high.joint << 32,
        };
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn masks_of_half(bytes: &[u8; 32]) -> Masks {
    #[expect(unsafe_code, reason = "loads a vector")]
    // SAFETY: the array holds the 32 bytes that are read; no alignment is asked for.
    let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
    let all = |byte: u8| _mm256_set1_epi8(byte as i8);
    let is = |byte: u8| _mm256_cmpeq_epi8(bytes, all(byte));
    // Comparison is signed: what is to be below `count` is moved to the lowest numbers.
    let below = |bytes, first: u8, count: u8| {
        let moved = _mm256_sub_epi8(bytes, all(first.wrapping_add(0x80)));
        _mm256_cmpgt_epi8(all(count.wrapping_add(0x80)), moved)
    };
    let mask = |bytes| u64::from(_mm256_movemask_epi8(bytes) as u32);
    let letters = below(_mm256_or_si256(bytes, all(0x20)), b'a', 26);
    let digits = below(bytes, b'0', 10);
    let marks = _mm256_or_si256(is(b'&'), is(b'<'));
    Masks {
        word: mask(_mm256_or_si256(letters, digits)),
        // The highest bit of a byte is all that a mask takes of it.
        special: mask(_mm256_or_si256(marks, bytes)),
        joint: mask(_mm256_or_si256(is(b'\''), is(b'.'))),
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
pub fn masks_avx512(blocks: &[[u8; BLOCK_BYTES]], masks: &mut [Masks]) {
    for (block, masks) in blocks.iter().zip(masks) {
        #[expect(unsafe_code, reason = "loads a vector")]
        // SAFETY: the array holds the 64 bytes that are read; no alignment is asked for.
        let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        let all = |byte: u8| _mm512_set1_epi8(byte as i8);
        let is = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, all(byte));
        let below = |bytes, first: u8, count: u8| {
            _mm512_cmplt_epu8_mask(_mm512_sub_epi8(bytes, all(first)), all(count))
        };
        let letters = below(_mm512_or_si512(bytes, all(0x20)), b'a', 26);
        *masks = Masks {
            word: letters | below(bytes, b'0', 10),
            special: _mm512_movepi8_mask(bytes) | is(b'&') | is(b'<'),
            joint: is(b'\'') | is(b'.'),
        };
    }
}
