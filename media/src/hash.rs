//! The placement hash: computes which segment a key belongs to, as every Infinispan client does.
//!
//! It is an early variant of MurmurHash3 (`MurmurHash3_x64_64` in Infinispan's commons) with its
//! own start values, rotations and multipliers, and with sign-extended tail bytes. The published
//! algorithm gives other results. The seed is fixed, so anyone can make keys that collide: use it
//! to place keys only, never for a hash table.

const SEED: u64 = 9001;

/// Returns the hash of a stored key or other bytes: the upper half of the 64-bit result.
#[must_use]
pub fn hash(bytes: &[u8]) -> u32 {
    let mut state = State {
        h1: 0x9368_e53c_2f6a_f274 ^ SEED,
        h2: 0x586d_cd20_8f7c_d3fd ^ SEED,
        c1: 0x87c3_7b91_1142_53d5,
        c2: 0x4cf5_ad43_2745_937f,
    };
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let word = u128::from_le_bytes(*block);
        state.mix(low(word), high(word));
    }
    if !tail.is_empty() {
        let (first, second) = tail.split_at(tail.len().min(8));
        state.mix(sign_extended(first), sign_extended(second));
    }
    state.finish(bytes.len() as u64)
}

/// Returns the segment of a key with this hash, in a cache of `segments` segments.
#[must_use]
pub fn segment(hash: u32, segments: u32) -> u32 {
    let segments = segments.max(1);
    let size = (1_u32 << 31).div_ceil(segments).min(i32::MAX.unsigned_abs());
    ((hash & i32::MAX.unsigned_abs()) / size).min(segments - 1)
}

struct State {
    h1: u64,
    h2: u64,
    c1: u64,
    c2: u64,
}

impl State {
    fn mix(&mut self, k1: u64, k2: u64) {
        let k1 = k1.wrapping_mul(self.c1).rotate_left(23).wrapping_mul(self.c2);
        self.h1 = (self.h1 ^ k1).wrapping_add(self.h2);
        self.h2 = self.h2.rotate_left(41);
        let k2 = k2.wrapping_mul(self.c2).rotate_left(23).wrapping_mul(self.c1);
        self.h2 = (self.h2 ^ k2).wrapping_add(self.h1);
        self.h1 = self.h1.wrapping_mul(3).wrapping_add(0x52dc_e729);
        self.h2 = self.h2.wrapping_mul(3).wrapping_add(0x3849_5ab5);
        self.c1 = self.c1.wrapping_mul(5).wrapping_add(0x7b7d_159c);
        self.c2 = self.c2.wrapping_mul(5).wrapping_add(0x6bce_6396);
    }

    fn finish(self, length: u64) -> u32 {
        let h2 = self.h2 ^ length;
        let h1 = self.h1.wrapping_add(h2);
        let h2 = h2.wrapping_add(h1);
        let h1 = finalize(h1).wrapping_add(finalize(h2));
        u32::try_from(h1 >> 32).unwrap_or(u32::MAX)
    }
}

fn finalize(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

/// Combines up to eight sign-extended bytes by exclusive or.
fn sign_extended(bytes: &[u8]) -> u64 {
    bytes.iter().zip((0_u32..).step_by(8)).fold(0, |word, (byte, shift)| {
        word ^ (i64::from(byte.cast_signed()).cast_unsigned() << shift)
    })
}

fn low(word: u128) -> u64 {
    u64::try_from(word & u128::from(u64::MAX)).unwrap_or(0)
}

fn high(word: u128) -> u64 {
    u64::try_from(word >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests;
