//! Compares the hash with values computed by Infinispan's own classes.

use super::*;

/// (bytes in hex, hash, segment of 256, segment of 20)
const VECTORS: [(&str, i32, u32, u32); 31] = [
    ("", 89125410, 10, 0),
    ("00", -787121744, 162, 12),
    ("ff", -29042976, 252, 19),
    ("80", -1816053548, 39, 3),
    ("61", -1119243492, 122, 9),
    ("6b", 1732799549, 206, 16),
    ("6b6579", -1316802850, 99, 7),
    ("68656c6c6f", 1671093224, 199, 15),
    ("6b657931", -1758694083, 46, 3),
    ("6b65792d3132333435", 1393847914, 166, 12),
    ("30313233343536", -567494994, 188, 14),
    ("3031323334353637", 2021854651, 241, 18),
    ("303132333435363738", -1141050700, 119, 9),
    ("303132333435363738396162636465", -1723162990, 50, 3),
    ("30313233343536373839616263646566", 26898387, 3, 0),
    ("3031323334353637383961626364656630", -1884752021, 31, 2),
    (
        "54686520717569636b2062726f776e20666f78206a756d7073206f76657220746865206c617a7920646f67",
        1049944299,
        125,
        9,
    ),
    ("68c3a96c6c6f2077c3b6726c6420c3bc6ec3af636f6465", -1075753714, 127, 9),
    ("4a0161", 1422478538, 169, 13),
    ("4a036b6579", -1447168164, 83, 6),
    ("4a0568656c6c6f", -149686208, 238, 18),
    ("4a09757365723a31303031", 53856364, 6, 0),
    ("2801", 38910579, 4, 0),
    ("28ffffffffffffffffff01", -1248149671, 107, 8),
    ("033e036b6579", -557247912, 189, 14),
    ("ffffffffffffff", -724752981, 169, 13),
    ("808080808080808080808080808080", -538535297, 191, 14),
    ("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 61322216, 7, 0),
    ("0b30557a9fc4e90e33587da2c7ec11365b80a5caef14395e83a8cdf2173c61", -1580225844, 67, 5),
    ("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 195186003, 23, 1),
    (
        "00010409101924314051647990a9c4e10021446990b9e4114071a4d9104984c1004184c91059a4f14091e43990e944a10061c42990f964d140b124991089048100810489109924b140d164f99029c46100a144e99039e49140f1a45910c9844100c18449",
        -1743328525,
        48,
        3,
    ),
];

#[test]
fn every_key_lands_where_infinispan_places_it() {
    for (hex, expected, of_256, of_20) in VECTORS {
        let actual = hash(&unhex(hex));
        assert_eq!(actual.cast_signed(), expected, "hash of {hex:?}");
        assert_eq!(segment(actual, 256), of_256, "segment of {hex:?} in 256");
        assert_eq!(segment(actual, 20), of_20, "segment of {hex:?} in 20");
    }
}

#[test]
fn the_highest_hash_stays_in_the_last_segment() {
    for segments in [1, 2, 3, 20, 255, 256, 257, 1024] {
        assert_eq!(segment(u32::MAX, segments), segments - 1, "of {segments}");
    }
    assert_eq!(segment(u32::MAX, 0), 0);
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
