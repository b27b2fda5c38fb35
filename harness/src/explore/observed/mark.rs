use std::hash::{Hash, Hasher};

use crate::explore::SplitMix64;

/// A fingerprint of 128 bits. That two things that differ have the same one is left to a chance of 10^-20 among 10^9.
pub(super) type Mark = u128;

/// The fingerprint of something, the same in every run.
pub(super) fn mark(of: &(impl Hash + ?Sized)) -> Mark {
    let mut fold = Fold([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344]);
    of.hash(&mut fold);
    u128::from(fold.0[0]) << 64 | u128::from(fold.0[1])
}

/// Takes words in, one after the other.
struct Fold([u64; 2]);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        for half in &mut self.0 {
            *half = SplitMix64::new(*half ^ word).next_u64();
        }
    }

    fn finish(&self) -> u64 {
        self.0[0]
    }
}
