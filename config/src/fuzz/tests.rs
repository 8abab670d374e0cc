//! No document ends in a panic.

use super::*;

const SAMPLES: &[&str] = &[
    include_str!("../../samples/godwit.toml"),
    include_str!("../../samples/infinispan.xml"),
    include_str!("../../samples/standalone.xml"),
    include_str!("../../samples/cache.json"),
    include_str!("../../samples/cache.yaml"),
    r#"{"remote-store":{"cache":"c","uri":"hotrod://u:p@h:1","remote-server":[{"host":"a","port":1}],
        "security":{"authentication":{"digest":{"username":"u","password":"p","realm":"r"}}}}}"#,
];

/// Parts that stand where they do not belong.
const PARTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    "</",
    "/>",
    "\"",
    "'",
    ":",
    ",",
    "&",
    "&#x0;",
    "&lt;",
    "${",
    "}",
    "\\u",
    "\\ud800",
    "\0",
    "\u{feff}",
    "ö",
    "😀",
    "-",
    "- ",
    "\n",
    "\t",
    "#",
    "~",
    "*a",
    "&a",
    "!!str",
    "|",
    ">-",
    "<![CDATA[",
    "]]>",
    "<!--",
    "<?",
    "<!DOCTYPE",
    "=",
    "[[",
    "%",
    "-1",
    "99999999999999999999",
    "1e9",
    ".5s",
];

/// Numbers that are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

/// Changes a few places of a document.
fn mutate(document: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = document.to_vec();
    for _ in 0..=random.below(6) {
        let from = random.below(bytes.len().max(1));
        let to = (from + random.below(24)).min(bytes.len());
        let from = from.min(bytes.len());
        let part: Vec<u8> = match random.below(6) {
            0 => vec![],
            1 => vec![u8::try_from(random.below(256)).unwrap()],
            2 => PARTS[random.below(PARTS.len())].into(),
            3 => bytes[from..to].repeat(1 + random.below(40)),
            4 => {
                bytes.truncate(to);
                continue;
            }
            _ => {
                let other = SAMPLES[random.below(SAMPLES.len())].as_bytes();
                let start = random.below(other.len());
                other[start..(start + random.below(64)).min(other.len())].to_vec()
            }
        };
        bytes.splice(from..to, part);
    }
    bytes
}

#[test]
fn a_changed_sample_is_read_or_refused_and_never_a_panic() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11222);
    let mut random = Random(seed);
    for round in 0..2_000 {
        let sample = SAMPLES[random.below(SAMPLES.len())];
        let document = mutate(sample.as_bytes(), &mut random);
        let ended = std::panic::catch_unwind(|| fuzz_config(&document));
        assert!(
            ended.is_ok(),
            "SEED={seed}, round {round}: {}",
            String::from_utf8_lossy(&document)
        );
    }
}

#[test]
fn the_samples_themselves_pass() {
    SAMPLES.iter().for_each(|sample| fuzz_config(sample.as_bytes()));
    fuzz_config(b"");
}
