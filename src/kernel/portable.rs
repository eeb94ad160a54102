//! Eight bytes at a time in a machine word, as every processor can.

use super::{BLOCK_BYTES, Masks};

/// A one in every byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every byte. A mask of bytes has it set where it holds.
const HIGH: u64 = 0x80 * ONES;

pub fn masks(blocks: &[[u8; BLOCK_BYTES]], masks: &mut [Masks]) {
    for (block, masks) in blocks.iter().zip(masks) {
        *masks = Masks::default();
        for (index, eight) in block.as_chunks::<8>().0.iter().enumerate() {
            let eight = masks_of_eight(u64::from_le_bytes(*eight));
            masks.word |= eight.word << (8 * index);
            masks.special |= eight.special << (8 * index);
            masks.joint |= eight.joint << (8 * index);
        }
    }
}

#[inline(always)]
fn masks_of_eight(bytes: u64) -> Masks {
    let is_ascii = !bytes & HIGH;
    let low = bytes & !HIGH;
    let letters = between(low | (0x20 * ONES), b'a', b'z');
    let digits = between(low, b'0', b'9');
    Masks {
        word: gather((letters | digits) & is_ascii),
        special: gather(equal(low, b'&') | equal(low, b'<') | bytes & HIGH),
        joint: gather((equal(low, b'\'') | equal(low, b'.')) & is_ascii),
    }
}

// In these the highest bit of every byte of `bytes` is clear, so that no sum carries over.

#[inline(always)]
fn between(bytes: u64, first: u8, last: u8) -> u64 {
    at_least(bytes, first) & !at_least(bytes, last + 1)
}

#[inline(always)]
fn at_least(bytes: u64, least: u8) -> u64 {
    (bytes + u64::from(0x80 - least) * ONES) & HIGH
}

#[inline(always)]
fn equal(bytes: u64, byte: u8) -> u64 {
    let is_other = (bytes ^ (u64::from(byte) * ONES)) + 0x7f * ONES;
    !is_other & HIGH
}

/// The highest bits of the eight bytes, side by side: bit `8 i + 7` goes to bit `i`.
#[inline(always)]
fn gather(mask: u64) -> u64 {
    (mask >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}
