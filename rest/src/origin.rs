//! Decides whether a request may come from where it says it comes from. Without this, any page that is open in
//! a browser could stop a server on the same machine.
//!
//! A browser names the page that sends a request in `Origin`, and the name under which it reached the server
//! in `Host`. Start reading at [`Policy::judge`].

use std::net::{Ipv4Addr, Ipv6Addr};

use config::{CorsRule, HostName};

/// Names under which the server may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Any name: names of services and ingresses are not known here.
    Any,
    /// `localhost`, IP addresses, and these names. A page that has its own name lead to this machine (DNS
    /// rebinding) is of the same origin as the server, and only the name gives it away.
    Local(Vec<HostName>),
}

/// What may reach the server.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) rules: Vec<CorsRule>,
    pub(crate) hosts: Hosts,
}

/// What a request says about where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims<'a> {
    /// Every `Origin`. A browser sends one, or none.
    pub(crate) origins: Vec<&'a [u8]>,
    /// Every name of the server: the authority of the request's target, and every `Host`.
    pub(crate) hosts: Vec<&'a [u8]>,
}

/// Whether a request is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// It comes from a page of this server, or from no page.
    Own,
    /// It comes from a page of another origin, and this rule allows it.
    Allowed(&'a CorsRule),
    /// It comes from a page that no rule allows.
    ForeignOrigin,
    /// It was sent to a name that is not one of this server's.
    ForeignHost,
}

impl Policy {
    /// Decides about a request by what it says about where it comes from.
    pub(crate) fn judge(&self, claims: &Claims<'_>) -> Verdict<'_> {
        if !claims.hosts.iter().all(|host| self.hosts.contain(host)) {
            return Verdict::ForeignHost;
        }
        let origin = match claims.origins.as_slice() {
            [] => return Verdict::Own,
            [origin] => *origin,
            _ => return Verdict::ForeignOrigin,
        };
        if let Some(rule) = self.rules.iter().find(|rule| is_about(rule, origin)) {
            return Verdict::Allowed(rule);
        }
        if is_own(origin, &claims.hosts) { Verdict::Own } else { Verdict::ForeignOrigin }
    }
}

impl Hosts {
    fn contain(&self, authority: &[u8]) -> bool {
        let Self::Local(names) = self else { return true };
        let Ok(authority) = str::from_utf8(authority) else { return false };
        if let Some(address) = authority.strip_prefix('[') {
            let address = address.split_once(']').map(|(address, _)| address);
            return address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
        }
        let host = authority.split_once(':').map_or(authority, |(host, _)| host);
        let is = |name: &str| host.eq_ignore_ascii_case(name);
        // Tools that have no name for the server send an empty one. Browsers never do.
        authority.is_empty()
            || is("localhost")
            || host.parse::<Ipv4Addr>().is_ok()
            || names.iter().any(|name| is(name.as_str()))
    }
}

/// Returns whether a rule is about an origin. The first one that is decides.
fn is_about(rule: &CorsRule, origin: &[u8]) -> bool {
    rule.origins.is_empty() || rule.origins.iter().any(|known| known.as_bytes() == origin)
}

/// Returns whether a page comes from the server that the request was sent to. A proxy in front of it may speak
/// HTTPS.
fn is_own(origin: &[u8], hosts: &[&[u8]]) -> bool {
    let of = |scheme: &[u8], port: &[u8]| {
        let without_port = |authority: &[u8]| {
            authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase()
        };
        origin.strip_prefix(scheme).is_some_and(|authority| {
            let authority = without_port(authority);
            !authority.is_empty()
                && !hosts.is_empty()
                && hosts.iter().all(|host| without_port(host) == authority)
        })
    };
    of(b"http://", b":80") || of(b"https://", b":443")
}

#[cfg(test)]
mod tests {
    //! Who is let in.

    use super::*;

    fn rule(name: &str, origins: &[&str]) -> CorsRule {
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        CorsRule { name: name.into(), origins, ..CorsRule::default() }
    }

    fn bytes<'a>(texts: &[&'a str]) -> Vec<&'a [u8]> {
        texts.iter().map(|text| text.as_bytes()).collect()
    }

    #[test]
    fn a_request_passes_without_an_origin_with_the_servers_own_and_with_one_of_a_rule() {
        let app = rule("app", &["http://app.example.org", "https://app.example.org:8443"]);
        let policy = Policy { rules: vec![app.clone()], hosts: Hosts::Any };
        let (own, foreign) = (Verdict::Own, Verdict::ForeignOrigin);
        let allowed = Verdict::Allowed(&app);
        let cases: &[(&[&str], &[&str], Verdict<'_>)] = &[
            // No page.
            (&[], &["cache.example.org"], own),
            (&[], &[], own),
            // A page of this server, by the same or by another scheme.
            (&["http://cache.example.org:11222"], &["cache.example.org:11222"], own),
            (&["https://cache.example.org:11222"], &["cache.example.org:11222"], own),
            (&["https://cache.example.org"], &["cache.example.org"], own),
            (&["https://cache.example.org"], &["cache.example.org:443"], own),
            (&["http://cache.example.org"], &["cache.example.org:80"], own),
            (&["http://Cache.example.org"], &["cache.Example.org"], own),
            (&["http://[::1]:11222"], &["[::1]:11222"], own),
            // The target of the request has an authority, too.
            (&["http://a:1"], &["a:1", "a:1"], own),
            (&["http://b:1"], &["a:1", "b:1"], foreign),
            (&["http://a:1"], &["a:1", "b:1"], foreign),
            // A page of another host, port, or scheme.
            (&["http://evil.example"], &["cache.example.org"], foreign),
            (&["http://evil.example"], &[], foreign),
            (&["http://cache.example.org:8080"], &["cache.example.org:11222"], foreign),
            (&["http://cache.example.org"], &["cache.example.org:11222"], foreign),
            (&["http://cache.example.org"], &["cache.example.org:443"], foreign),
            (&["https://cache.example.org"], &["cache.example.org:80"], foreign),
            (&["ftp://cache.example.org"], &["cache.example.org"], foreign),
            (&["cache.example.org"], &["cache.example.org"], foreign),
            (&["http://localhost:11222"], &["127.0.0.1:11222"], foreign),
            (&["http://cache.example.org.evil.example"], &["cache.example.org"], foreign),
            (&["http://evil.example/cache.example.org"], &["cache.example.org"], foreign),
            // A page without an origin that it would tell: a file, or a frame in a sandbox.
            (&["null"], &["cache.example.org"], foreign),
            (&["null"], &["null"], foreign),
            (&[""], &["cache.example.org"], foreign),
            (&[""], &[""], foreign),
            (&["http://"], &[""], foreign),
            // A rule.
            (&["http://app.example.org"], &["cache.example.org"], allowed),
            (&["https://app.example.org:8443"], &["cache.example.org"], allowed),
            (&["https://app.example.org"], &["cache.example.org"], foreign),
            (&["http://app.example.org:8443"], &["cache.example.org"], foreign),
            // More than one is no browser's.
            (&["http://a", "http://a"], &["a"], foreign),
            (&["http://app.example.org", "http://evil.example"], &["a"], foreign),
        ];
        for (origins, hosts, expected) in cases {
            let claims = Claims { origins: bytes(origins), hosts: bytes(hosts) };
            assert_eq!(policy.judge(&claims), *expected, "{origins:?} to {hosts:?}");
        }
    }

    #[test]
    fn the_first_rule_that_is_about_an_origin_decides_and_one_may_be_about_all() {
        let (app, any) = (rule("app", &["http://app.example.org", "null"]), rule("any", &[]));
        let policy = Policy { rules: vec![app.clone(), any.clone()], hosts: Hosts::Any };
        let cases = [("http://app.example.org", &app), ("null", &app), ("http://b", &any)];
        for (origin, expected) in cases {
            let claims = Claims { origins: bytes(&[origin]), hosts: bytes(&["a"]) };
            assert_eq!(policy.judge(&claims), Verdict::Allowed(expected), "{origin}");
        }
    }

    #[test]
    fn on_loopback_only_known_names_lead_to_the_server() {
        let names = vec!["cache.example.org".parse().unwrap()];
        let local = Policy { rules: vec![rule("any", &[])], hosts: Hosts::Local(names) };
        let any = Policy { hosts: Hosts::Any, ..local.clone() };
        let known: &[&[&str]] = &[
            &[],
            &[""],
            &["localhost"],
            &["LOCALHOST:11222"],
            &["127.0.0.1"],
            &["127.0.0.1:11222"],
            &["10.0.0.7:80"],
            &["[::1]"],
            &["[::1]:11222"],
            &["cache.example.org"],
            &["Cache.Example.ORG:443"],
            &["localhost:11222", "127.0.0.1"],
        ];
        let unknown: &[&[&str]] = &[
            &["evil.example"],
            &["evil.example:11222"],
            &["localhost.evil.example"],
            &["evil.localhost"],
            &["127.0.0.1.evil.example"],
            &["cache.example.org.evil.example"],
            &["::1"],
            &["[evil.example]"],
            &["[::1"],
            &["localhost@evil.example"],
            &["localhost", "evil.example"],
            &["evil.example", "localhost"],
        ];
        for hosts in known {
            let claims = Claims { origins: Vec::new(), hosts: bytes(hosts) };
            assert_eq!(local.judge(&claims), Verdict::Own, "{hosts:?}");
        }
        for hosts in unknown {
            let claims = Claims { origins: Vec::new(), hosts: bytes(hosts) };
            assert_eq!(local.judge(&claims), Verdict::ForeignHost, "{hosts:?}");
            assert_eq!(any.judge(&claims), Verdict::Own, "{hosts:?}");
            // Neither a rule for the page nor that it is of the same origin helps.
            let own = format!("http://{}", hosts[0]);
            let claims = Claims { origins: bytes(&[&own]), ..claims };
            assert_eq!(local.judge(&claims), Verdict::ForeignHost, "{hosts:?}");
        }
        let claims = Claims { origins: Vec::new(), hosts: vec![b"\xff"] };
        assert_eq!(local.judge(&claims), Verdict::ForeignHost);
    }
}
