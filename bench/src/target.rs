//! A named server in a comparison.

use std::{fmt, str::FromStr};

use crate::{error::LoadError, load::Protocol};

/// A server and its name in the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name in the comparison.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Host and port.
    pub address: String,
    /// Its process id, if it runs on this machine.
    pub pid: Option<u32>,
}

impl FromStr for Target {
    type Err = LoadError;

    /// Parses `NAME=PROTOCOL:HOST:PORT[:PID]`.
    fn from_str(text: &str) -> Result<Self, LoadError> {
        parse(text).ok_or_else(|| LoadError::Target(text.into()))
    }
}

fn parse(text: &str) -> Option<Target> {
    let (name, rest) = text.split_once('=')?;
    let (protocol, rest) = rest.split_once(':')?;
    let protocol = <Protocol as clap::ValueEnum>::from_str(protocol, true).ok()?;
    // An IPv6 address is in brackets.
    let (host, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => rest.split_once(':')?,
    };
    let (port, pid) = match rest.split_once(':') {
        Some((port, pid)) => (port, Some(pid.parse().ok()?)),
        None => (rest, None),
    };
    let port: u16 = port.parse().ok()?;
    if name.is_empty() || host.is_empty() {
        return None;
    }
    let address =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    Some(Target { name: name.into(), protocol, address, pid })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.name, self.protocol, self.address)?;
        self.pid.map_or(Ok(()), |pid| write!(f, ":{pid}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_and_shown_in_the_same_form() {
        for text in [
            "godwit=hotrod:127.0.0.1:11222",
            "godwit=hotrod:localhost:11222:4711",
            "mc=memcached:[::1]:11211",
            "mc=memcached:[::1]:11211:99",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        let target: Target = "mc=memcached:[::1]:11211:99".parse().unwrap();
        assert_eq!((target.address.as_str(), target.pid), ("[::1]:11211", Some(99)));
        for text in [
            "",
            "godwit",
            "=hotrod:h:1",
            "a=redis:h:1",
            "a=hotrod:h",
            "a=hotrod:h:x",
            "a=hotrod:h:70000",
            "a=hotrod:h:1:x",
            "a=hotrod::1",
        ] {
            assert_eq!(text.parse::<Target>(), Err(LoadError::Target(text.into())));
        }
    }
}
