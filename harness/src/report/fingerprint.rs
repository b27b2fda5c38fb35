use serde::Serialize;

/// A short name for a value: equal for equal values, in every run and on every machine; different for others, but for chance (FNV-1a
/// with 128 bits over its JSON; not made to withstand somebody who looks for two alike).
///
/// # Panics
/// Never for types whose maps have strings as keys, as those of this library.
#[must_use]
pub fn fingerprint<T: Serialize>(value: &T) -> String {
    let bytes = serde_json::to_vec(value).expect("what is reported can be written as JSON");
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in bytes {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn it_is_the_same_everywhere() {
        assert_eq!(fingerprint(&1), "d228cb693f1a8caf78912b704e4a4e54");
        assert_ne!(fingerprint(&"a"), fingerprint(&"b"));
    }
}
