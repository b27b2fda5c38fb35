//! Fixed sources of chance: random bytes and the clock.

/// What the clock says when an execution begins: 2025-11-20 00:00:00 UTC, in nanoseconds.
pub const EPOCH: u64 = 1_763_596_800_000_000_000;
/// How long the machine has been up then, as programs see it, in nanoseconds: ten years, more than the real one, so that a
/// deadline which a program computes from it has not passed for the kernel.
pub const UPTIME: u64 = 315_360_000_000_000_000;
/// How far an operation, or a look at the clock, moves it, in nanoseconds.
pub const TICK: u64 = 1_000;

/// A number made of a text, the same in each execution (FNV-1a). Texts can share one.
#[must_use]
pub fn number_of(text: &str) -> u64 {
    let fold = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, fold)
}

/// A stream of random-looking bytes: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), seeded by a name.
#[derive(Clone, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream of this name. Streams of different names differ, as those of real processes do.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(number_of(name))
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::Stream;

    #[test]
    fn a_stream_repeats_and_differs_from_others() {
        assert_eq!(Stream::new("A").bytes(20), Stream::new("A").bytes(20));
        assert_ne!(Stream::new("A").bytes(20), Stream::new("B").bytes(20));
        let mut stream = Stream::new("A");
        assert_ne!(stream.bytes(8), stream.bytes(8));
    }
}
