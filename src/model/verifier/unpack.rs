//! The step from numbers as files store them to f32, a stretch of a row at a time.
//!
//! Invariant: the numbers are those that candle makes of the same bytes, up to the last bit. All
//! formats in blocks are brought to one form, small whole numbers with a step and a floor for each
//! sixteen, eight bytes at a time, so that it does not hang on the compiler whether that is fast;
//! only the last step from there takes vector instructions. Formats:
//! <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>.

use candle_core::quantized::GgmlDType;
use pulp::{Simd, bytemuck};

/// Numbers in a stretch, at most. A row is cut at multiples of it, which no block straddles.
pub(super) const STRETCH: usize = 256;
/// Numbers that share a step and a floor.
const PART: usize = 16;
const PARTS: usize = STRETCH / PART;
/// The lower half of each of eight bytes.
const LOW: u64 = 0x0f0f_0f0f_0f0f_0f0f;

/// Turns the bytes of up to a stretch of numbers into f32, from the start of `out`.
#[inline(always)]
pub(super) fn unpack<S: Simd>(simd: S, dtype: GgmlDType, bytes: &[u8], out: &mut [f32; STRETCH]) {
    let mut quants = Quants::default();
    // Not a function that takes another: the compiler would call that for each block, and leave its
    // loops without vector instructions.
    macro_rules! take {
        ($block:ident) => {{
            let (blocks, _) = bytes.as_chunks();
            let (words, _) = quants.words.as_chunks_mut();
            let (steps, _) = quants.steps.as_chunks_mut();
            let (floors, _) = quants.floors.as_chunks_mut();
            let places = words.iter_mut().zip(steps).zip(floors);
            for (block, ((words, steps), floors)) in blocks.iter().zip(places) {
                $block(block, words, steps, floors);
            }
        }};
    }
    match dtype {
        GgmlDType::F32 => {
            let words: &mut [u8] = bytemuck::cast_slice_mut(out);
            words[..bytes.len()].copy_from_slice(bytes);
            return;
        }
        GgmlDType::F16 => return halves(bytes, out, wide),
        GgmlDType::BF16 => {
            return halves(bytes, out, |half| f32::from_bits(u32::from(half) << 16));
        }
        GgmlDType::Q4_0 => take!(q4_0),
        GgmlDType::Q4_1 => take!(q4_1),
        GgmlDType::Q5_0 => take!(q5_0),
        GgmlDType::Q5_1 => take!(q5_1),
        GgmlDType::Q8_0 => take!(q8_0),
        GgmlDType::Q2K => take!(q2_k),
        GgmlDType::Q3K => take!(q3_k),
        GgmlDType::Q4K => take!(q4_k),
        GgmlDType::Q5K => take!(q5_k),
        GgmlDType::Q6K => take!(q6_k),
        // Made by programs while they compute; no file of weights holds them.
        GgmlDType::Q8_1 | GgmlDType::Q8K => return out.fill(f32::NAN),
    }
    quants.numbers(simd, out);
}

/// A stretch of numbers: each is a whole number times the step of its part, less the floor of that.
struct Quants {
    /// Eight whole numbers each, the first in the lowest byte.
    words: [u64; STRETCH / 8],
    steps: [f32; PARTS],
    floors: [f32; PARTS],
}

impl Default for Quants {
    #[inline(always)]
    fn default() -> Self {
        Self {
            words: [0; STRETCH / 8],
            steps: [0.0; PARTS],
            floors: [0.0; PARTS],
        }
    }
}

impl Quants {
    #[inline(always)]
    fn numbers<S: Simd>(&self, simd: S, out: &mut [f32; STRETCH]) {
        let quants: &[u8; STRETCH] = bytemuck::cast_ref(&self.words);
        for (out, quant) in out.iter_mut().zip(quants) {
            *out = f32::from(*quant);
        }
        let (parts, _) = out.as_chunks_mut::<PART>();
        for (part, (step, floor)) in parts.iter_mut().zip(self.steps.iter().zip(&self.floors)) {
            let (step, floor) = (simd.splat_f32s(*step), simd.splat_f32s(-floor));
            for number in bytemuck::cast_slice_mut::<f32, S::f32s>(part) {
                *number = simd.mul_add_e_f32s(*number, step, floor);
            }
        }
    }
}

/// Numbers of two bytes.
#[inline(always)]
fn halves(bytes: &[u8], out: &mut [f32; STRETCH], number: impl Fn(u16) -> f32) {
    let mut words = [0_u16; STRETCH];
    bytemuck::cast_slice_mut::<u16, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
    for (out, word) in out.iter_mut().zip(&words) {
        *out = number(u16::from_le(*word));
    }
}

/// The f32 of an f16, without a branch, so that many are turned at once, and without f32 that are
/// too small to be normal, which processors take a hundred times as long for.
#[inline(always)]
fn wide(half: u16) -> f32 {
    const EXPONENT: u32 = 0x7c00 << 13;
    const SMALLEST: f32 = f32::from_bits(113 << 23);
    let sign = u32::from(half & 0x8000) << 16;
    let moved = u32::from(half & 0x7fff) << 13;
    let normal = moved + (112 << 23);
    let small = f32::from_bits(normal + (1 << 23)) - SMALLEST;
    let size = match moved & EXPONENT {
        0 => small.to_bits(),
        // Infinities and what is no number have the largest exponent in both.
        EXPONENT => normal + (112 << 23),
        _ => normal,
    };
    f32::from_bits(size | sign)
}

#[inline(always)]
fn scale(bytes: &[u8]) -> f32 {
    wide(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// Eight bytes, the first of which is `at * 8`.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    let (words, _) = bytes.as_chunks();
    u64::from_le_bytes(words[at])
}

/// Sixteen bytes are the halves of thirty-two numbers: first all low ones, then all high ones.
#[inline(always)]
fn nibbles(bytes: &[u8], words: &mut [u64; 4]) {
    for at in 0..2 {
        let both = word(bytes, at);
        words[at] = both & LOW;
        words[at + 2] = both >> 4 & LOW;
    }
}

/// Each bit of four bytes as the fifth bit of a number.
#[inline(always)]
fn add_fifth(bits: &[u8], words: &mut [u64; 4]) {
    for (word, byte) in words.iter_mut().zip(bits) {
        // A copy in each byte, of which one bit is kept; then whatever is there is carried to the
        // highest bit.
        let alone = (u64::from(*byte) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
        let carried = alone + 0x0040_6070_787c_7e7f;
        *word |= (carried & 0x8080_8080_8080_8080) >> 3;
    }
}

#[inline(always)]
fn q4_0(block: &[u8; 18], words: &mut [u64; 4], steps: &mut [f32; 2], floors: &mut [f32; 2]) {
    let d = scale(block);
    nibbles(&block[2..], words);
    (*steps, *floors) = ([d; 2], [8.0 * d; 2]);
}

#[inline(always)]
fn q4_1(block: &[u8; 20], words: &mut [u64; 4], steps: &mut [f32; 2], floors: &mut [f32; 2]) {
    nibbles(&block[4..], words);
    (*steps, *floors) = ([scale(block); 2], [-scale(&block[2..]); 2]);
}

#[inline(always)]
fn q5_0(block: &[u8; 22], words: &mut [u64; 4], steps: &mut [f32; 2], floors: &mut [f32; 2]) {
    let d = scale(block);
    nibbles(&block[6..], words);
    add_fifth(&block[2..6], words);
    (*steps, *floors) = ([d; 2], [16.0 * d; 2]);
}

#[inline(always)]
fn q5_1(block: &[u8; 24], words: &mut [u64; 4], steps: &mut [f32; 2], floors: &mut [f32; 2]) {
    nibbles(&block[8..], words);
    add_fifth(&block[4..8], words);
    (*steps, *floors) = ([scale(block); 2], [-scale(&block[2..]); 2]);
}

#[inline(always)]
fn q8_0(block: &[u8; 34], words: &mut [u64; 4], steps: &mut [f32; 2], floors: &mut [f32; 2]) {
    let d = scale(block);
    for (at, out) in words.iter_mut().enumerate() {
        // From -128 to 127, moved to 0 to 255.
        *out = word(&block[2..], at) ^ 0x8080_8080_8080_8080;
    }
    (*steps, *floors) = ([d; 2], [128.0 * d; 2]);
}

#[inline(always)]
fn q2_k(block: &[u8; 84], words: &mut [u64; 32], steps: &mut [f32; 16], floors: &mut [f32; 16]) {
    let (scales, quants) = block.split_at(16);
    let (d, min) = (scale(&block[80..]), scale(&block[82..]));
    for part in 0..16 {
        steps[part] = d * f32::from(scales[part] & 15);
        floors[part] = min * f32::from(scales[part] >> 4);
    }
    for (at, out) in words.iter_mut().enumerate() {
        let (half, shift) = (at / 16, at % 16 / 4 * 2);
        *out = word(quants, half * 4 + at % 4) >> shift & 0x0303_0303_0303_0303;
    }
}

#[inline(always)]
fn q3_k(block: &[u8; 110], words: &mut [u64; 32], steps: &mut [f32; 16], floors: &mut [f32; 16]) {
    let (high, rest) = block.split_at(32);
    let (quants, rest) = rest.split_at(64);
    let (scales, ends) = rest.split_at(12);
    let d = scale(ends);
    for part in 0..16 {
        let low = scales[part % 8] >> (part / 8 * 4) & 15;
        let top = scales[8 + part % 4] >> (part / 4 * 2) & 3;
        steps[part] = d * (f32::from(low | top << 4) - 32.0);
        floors[part] = 4.0 * steps[part];
    }
    for (at, out) in words.iter_mut().enumerate() {
        let (half, shift) = (at / 16, at % 16 / 4 * 2);
        let low = word(quants, half * 4 + at % 4) >> shift & 0x0303_0303_0303_0303;
        let third = word(high, at % 4) >> (at / 4) & 0x0101_0101_0101_0101;
        *out = low | third << 2;
    }
}

/// The steps and floors of the eight parts of a block, in six bits each.
#[inline(always)]
fn six_bits(block: &[u8], steps: &mut [f32; 16], floors: &mut [f32; 16]) {
    let (d, min) = (scale(block), scale(&block[2..]));
    let scales = &block[4..16];
    for part in 0..8 {
        let (step, floor) = if part < 4 {
            (scales[part] & 63, scales[part + 4] & 63)
        } else {
            let low = scales[part + 4];
            let step = (low & 15) | (scales[part - 4] >> 6) << 4;
            (step, low >> 4 | (scales[part] >> 6) << 4)
        };
        steps[2 * part..][..2].fill(d * f32::from(step));
        floors[2 * part..][..2].fill(min * f32::from(floor));
    }
}

#[inline(always)]
fn q4_k(block: &[u8; 144], words: &mut [u64; 32], steps: &mut [f32; 16], floors: &mut [f32; 16]) {
    six_bits(block, steps, floors);
    for pair in 0..4 {
        for at in 0..4 {
            let both = word(&block[16..], 4 * pair + at);
            words[8 * pair + at] = both & LOW;
            words[8 * pair + at + 4] = both >> 4 & LOW;
        }
    }
}

#[inline(always)]
fn q5_k(block: &[u8; 176], words: &mut [u64; 32], steps: &mut [f32; 16], floors: &mut [f32; 16]) {
    six_bits(block, steps, floors);
    for pair in 0..4 {
        for at in 0..4 {
            let both = word(&block[48..], 4 * pair + at);
            let high = word(&block[16..], at) >> (2 * pair);
            let fifth = |high: u64| (high & 0x0101_0101_0101_0101) << 4;
            words[8 * pair + at] = both & LOW | fifth(high);
            words[8 * pair + at + 4] = both >> 4 & LOW | fifth(high >> 1);
        }
    }
}

#[inline(always)]
fn q6_k(block: &[u8; 210], words: &mut [u64; 32], steps: &mut [f32; 16], floors: &mut [f32; 16]) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, ends) = rest.split_at(16);
    let d = scale(ends);
    for part in 0..16 {
        steps[part] = d * f32::from(scales[part].cast_signed());
        floors[part] = 32.0 * steps[part];
    }
    for (at, out) in words.iter_mut().enumerate() {
        // Of each half, the four quarters share bytes.
        let (half, quarter, at) = (at / 16, at % 16 / 4, at % 4);
        let low = word(low, half * 8 + quarter % 2 * 4 + at) >> (quarter / 2 * 4) & LOW;
        let high = word(high, half * 4 + at) >> (quarter * 2) & 0x0303_0303_0303_0303;
        *out = low | high << 4;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::blocks;
    use super::*;
    use half::f16;
    use pulp::{Arch, WithSimd};

    struct Unpack<'a>(GgmlDType, &'a [u8], &'a mut [f32; STRETCH]);

    impl WithSimd for Unpack<'_> {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            unpack(simd, self.0, self.1, self.2);
        }
    }

    #[test]
    fn numbers_are_those_of_candle() {
        for dtype in [
            GgmlDType::F32,
            GgmlDType::F16,
            GgmlDType::BF16,
            GgmlDType::Q4_0,
            GgmlDType::Q4_1,
            GgmlDType::Q5_0,
            GgmlDType::Q5_1,
            GgmlDType::Q8_0,
            GgmlDType::Q2K,
            GgmlDType::Q3K,
            GgmlDType::Q4K,
            GgmlDType::Q5K,
            GgmlDType::Q6K,
        ] {
            let size = STRETCH / dtype.block_size() * dtype.type_size();
            let bytes: Vec<u8> = (0..size)
                .map(|i| (i * i * 31 + i * 7 + 5) as u8)
                // Numbers in f16 and f32 stay small: exponents below that of 1.
                .map(|byte| byte & 0b1011_1111)
                .collect();
            let mut got = [0.0; STRETCH];
            Arch::new().dispatch(Unpack(dtype, &bytes, &mut got));
            let expect = blocks::dequantized(&bytes, dtype, &[STRETCH]).unwrap();
            for (i, (got, expect)) in got.iter().zip(expect.to_vec1::<f32>().unwrap()).enumerate() {
                let allowed = 1e-6 * expect.abs().max(1.0);
                assert!(
                    (got - expect).abs() <= allowed,
                    "{dtype:?} {i}: {got} {expect}"
                );
            }
        }
    }

    #[test]
    fn every_f16_is_widened_as_it_should_be() {
        for bits in 0..=u16::MAX {
            let expect = f16::from_bits(bits).to_f32();
            let got = wide(bits);
            assert!(got == expect || got.is_nan() && expect.is_nan(), "{bits:x}");
        }
    }
}
