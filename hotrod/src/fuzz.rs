//! Bodies of the fuzz targets: none of these may panic, whatever the bytes.

use crate::{
    decoder::Decoder,
    header::ResponseHeader,
    op::{self, Operation, Response},
    reader::{Limits, Reader},
    topology::Intelligence,
    version::ProtocolVersion,
};

/// Decodes `data` as requests, pushed in pieces as long as its first byte says.
pub fn requests(data: &[u8]) {
    let Some((step, bytes)) = data.split_first() else { return };
    let mut decoder = Decoder::default();
    for piece in bytes.chunks(usize::from(*step).max(1)) {
        decoder.push(piece);
        loop {
            match decoder.next_request() {
                Ok(Some(decoded)) => drop(decoded.header.key_type.resolve()),
                Ok(None) => break,
                Err(_refused) => return,
            }
        }
    }
}

/// Decodes `data` as responses of every operation and version.
pub fn responses(data: &[u8]) {
    for version in [20, 24, 25, 28, 29, 30, 31, 40, 41] {
        let Ok(version) = ProtocolVersion::from_byte(version) else { continue };
        for intelligence in [Intelligence::Basic, Intelligence::HashAware] {
            let mut reader = Reader::new(data, Limits::NONE);
            let Ok(header) = ResponseHeader::decode(&mut reader, intelligence) else { continue };
            let rest = data.get(reader.position()..).unwrap_or_default();
            response(header.opcode, header.status, version, rest);
        }
    }
}

fn response(opcode: u8, status: crate::Status, version: ProtocolVersion, bytes: &[u8]) {
    macro_rules! decode {
        ($($operation:ty => $response:ty),* $(,)?) => {
            $(
                if opcode == <$operation>::RESPONSE {
                    let _ = <$response>::decode(status, version, &mut Reader::new(bytes, Limits::NONE));
                }
            )*
        };
    }
    decode! {
        op::Get<'_> => op::Got<'_>,
        op::GetWithVersion<'_> => op::GotWithVersion<'_>,
        op::GetWithMetadata<'_> => op::GotWithMetadata<'_>,
        op::Put<'_> => crate::Changed<'_>,
        op::Remove<'_> => crate::Changed<'_>,
        op::Stats => op::Statistics,
        op::Ping => op::Pong<'_>,
        op::AuthMechList => op::Mechanisms<'_>,
        op::Auth<'_> => op::Challenge<'_>,
        op::Size => op::Count,
        op::Exec<'_> => op::Executed<'_>,
        op::GetAll<'_> => op::GotAll<'_>,
        op::BulkGet => op::BulkGot<'_>,
        op::BulkGetKeys => op::BulkGotKeys<'_>,
        op::IterationStart<'_> => op::IterationStarted<'_>,
        op::IterationNext<'_> => op::Batch<'_>,
    }
}

/// Runs `body` over a corpus and `count` mutations of it, the same ones for the same seed.
pub fn mutations(corpus: &[Vec<u8>], count: u32, seed: u64, body: fn(&[u8])) {
    corpus.iter().for_each(|bytes| body(bytes));
    let mut random = Random(seed | 1);
    for _ in 0..count {
        let mut bytes = corpus.get(random.below(corpus.len())).cloned().unwrap_or_default();
        for _ in 0..=random.below(4) {
            random.mutate(&mut bytes);
        }
        body(&bytes);
    }
}

/// Marsaglia's xorshift: random enough to choose mutations.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or(0)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        let byte = self.next().to_le_bytes();
        match (self.below(6), bytes.get_mut(at)) {
            (0, Some(old)) => *old = byte[0],
            (1, Some(old)) => *old ^= 1 << (byte[0] % 8),
            (2, _) => bytes.truncate(at),
            (3, _) => bytes.insert(at, byte[0]),
            (4, _) => {
                // Lengths are where decoders break: replace what is here by a huge one.
                let tail = bytes.split_off(at);
                bytes.extend([0xFF, 0xFF, 0xFF, 0xFF, byte[0] & 0x0F]);
                bytes.extend(tail.into_iter().skip(1));
            }
            _ => {
                let piece: Vec<u8> = bytes.iter().skip(at).take(self.below(64)).copied().collect();
                let to = self.below(bytes.len());
                let tail = bytes.split_off(to);
                bytes.extend(piece);
                bytes.extend(tail);
            }
        }
    }
}
