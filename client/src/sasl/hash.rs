//! The hash functions that mechanisms are built on.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

macro_rules! with {
    ($algorithm:expr, $hash:ident => $body:expr) => {
        match $algorithm {
            Algorithm::Md5 => {
                type $hash = Md5;
                $body
            }
            Algorithm::Sha1 => {
                type $hash = Sha1;
                $body
            }
            Algorithm::Sha256 => {
                type $hash = Sha256;
                $body
            }
            Algorithm::Sha384 => {
                type $hash = Sha384;
                $body
            }
            Algorithm::Sha512 => {
                type $hash = Sha512;
                $body
            }
        }
    };
}

impl Algorithm {
    /// Returns the hash of the concatenated parts.
    pub(crate) fn hash(self, parts: &[&[u8]]) -> Vec<u8> {
        with!(self, H => {
            let mut hash = H::new();
            parts.iter().for_each(|part| hash.update(part));
            hash.finalize().to_vec()
        })
    }

    /// Returns the HMAC of the concatenated parts.
    pub(crate) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        with!(self, H => {
            // RFC 2104 allows keys of any length.
            let Ok(mut mac) = Hmac::<H>::new_from_slice(key) else { return Vec::new() };
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().to_vec()
        })
    }

    /// Derives a key with PBKDF2 and HMAC, as long as one hash.
    pub(crate) fn stretch(self, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
        with!(self, H => {
            let mut key = vec![0; <H as sha2::Digest>::output_size()];
            pbkdf2::pbkdf2_hmac::<H>(password, salt, rounds, &mut key);
            key
        })
    }
}
