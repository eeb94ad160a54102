//! NEON: 16 bytes at a time.

use std::arch::aarch64::*;

use super::{BLOCK_BYTES, Masks};

#[target_feature(enable = "neon")]
pub fn masks(blocks: &[[u8; BLOCK_BYTES]], masks: &mut [Masks]) {
    for (block, masks) in blocks.iter().zip(masks) {
        let [a, b, c, d] = block.as_chunks::<16>().0 else { continue };
        let quarters = [told_apart(a), told_apart(b), told_apart(c), told_apart(d)];
        *masks = Masks {
            word: gather(quarters.map(|quarter| quarter.word)),
            special: gather(quarters.map(|quarter| quarter.special)),
            joint: gather(quarters.map(|quarter| quarter.joint)),
        };
    }
}

/// [`Masks`] of 16 bytes, one byte each: all ones where it holds.
#[derive(Clone, Copy)]
struct Quarter {
    word: uint8x16_t,
    special: uint8x16_t,
    joint: uint8x16_t,
}

#[inline]
#[target_feature(enable = "neon")]
fn told_apart(bytes: &[u8; 16]) -> Quarter {
    #[expect(unsafe_code, reason = "loads a vector")]
    // SAFETY: the array holds the 16 bytes that are read; no alignment is asked for.
    let bytes = unsafe { vld1q_u8(bytes.as_ptr()) };
    let all = |byte: u8| vdupq_n_u8(byte);
    let is = |byte: u8| vceqq_u8(bytes, all(byte));
    let below = |bytes, first: u8, count: u8| vcltq_u8(vsubq_u8(bytes, all(first)), all(count));
    let letters = below(vorrq_u8(bytes, all(0x20)), b'a', 26);
    let marks = vorrq_u8(is(b'&'), is(b'<'));
    Quarter {
        word: vorrq_u8(letters, below(bytes, b'0', 10)),
        special: vorrq_u8(marks, vcgeq_u8(bytes, all(0x80))),
        joint: vorrq_u8(is(b'\''), is(b'.')),
    }
}

/// One bit of each of 64 bytes that are all ones or all zeros.
#[inline]
#[target_feature(enable = "neon")]
fn gather(quarters: [uint8x16_t; 4]) -> u64 {
    // Every byte keeps the bit of its place among eight; adding up neighbours three times then
    // puts eight bytes into one.
    let places = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
    let [a, b, c, d] = quarters.map(|quarter| vandq_u8(quarter, places));
    let pairs = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(pairs, pairs)))
}
