//! Servers of a source that have gone while a cache was connected, with the entries that only they had.
//!
//! A decider. Whenever a source is asked who it is, [`LostServers::take_in`] is told who has answered. A server that was
//! started again, or that has left, is [gone](LostServer). One that does not answer may have been started again
//! meanwhile, so it is [kept](UnheardServer) until it answers and can be compared, by later connections too.

use super::{START_TOLERANCE, SourceIdentity, SourceProcess};

/// Most servers that are told apart: beyond that, it does not matter any more which they were.
const MOST: usize = 100;

/// What is known of the servers of a source that may have lost entries since the cache was connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostServers {
    /// Those that have gone.
    pub gone: Vec<LostServer>,
    /// Those that do not answer, and may have been started again.
    pub unheard: Vec<UnheardServer>,
}

/// A server of a source whose process has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostServer {
    /// Its address.
    pub server: String,
    /// How it has gone.
    pub how: Gone,
    /// Whether everything had been copied from the source before the server went. If not, entries of which no other
    /// server had a copy are lost, and the cache is not `VERIFIED` until its operator accepts that.
    pub after_copy: bool,
}

/// How a process of a source has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Another process has taken its place.
    Replaced,
    /// The source does not announce its server any more.
    Left,
}

/// A server of a source that does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnheardServer {
    /// Its address.
    pub server: String,
    /// `None` for a server that has answered before: its process is known. Any other has lost nothing that matters if
    /// its process turns out to have been started before this, in seconds of our clock.
    pub since: Option<u64>,
    /// Whether it has joined since all were asked, everything being here: it takes nothing along then, unless that is
    /// copied anew.
    pub after_copy: bool,
}

/// The servers of which a source consists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceServers {
    /// Their addresses.
    pub names: Vec<String>,
    /// Whether the source announces them. If not, they are configured, and no other one is known to have left.
    pub announced: bool,
}

/// How much of a source was here before its servers were asked who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// Not everything.
    Part,
    /// Everything. Servers may have been started again since they last answered, and before that.
    All,
    /// Everything, and all servers have been asked since. Those that did not answer are known as unheard.
    AllAsked,
}

/// Who has answered when a source was asked who it is.
#[derive(Clone, Copy, Debug)]
pub struct RollCall<'a> {
    /// The processes that have answered.
    pub now: &'a SourceIdentity,
    /// Those that were known before.
    pub known: &'a SourceIdentity,
    /// The servers that were asked.
    pub servers: &'a SourceServers,
    /// Seconds of our clock: one of them that has never answered has lost nothing so far if it was started before.
    pub since: u64,
    /// How much was here when they were asked.
    pub copied: Copied,
}

impl SourceServers {
    /// Returns whether the source announces its servers, and not this one.
    #[must_use]
    pub fn lack(&self, server: &str) -> bool {
        self.announced && !self.has(server)
    }

    fn has(&self, server: &str) -> bool {
        self.names.iter().any(|name| name == server)
    }
}

impl UnheardServer {
    /// Returns whether this process, which answers in its place, is the one that was there before.
    fn is(&self, process: &SourceProcess, known: &SourceIdentity) -> bool {
        match known.at(&self.server) {
            Some(known) => process.continues(known),
            None => {
                let started = process.started.zip(self.since);
                started.is_some_and(|(started, since)| started < since)
            }
        }
    }

    /// Adds one to those that are known.
    fn add_to(self, all: &mut Vec<Self>) {
        if all.iter().any(|known| known.server == self.server) {
            return;
        }
        if all.len() < MOST {
            all.push(self);
            return;
        }
        // Where there is no room, one that takes nothing along gives way.
        let gives_way = all.iter_mut().find(|known| known.after_copy && !self.after_copy);
        if let Some(known) = gives_way {
            *known = self;
        }
    }
}

impl LostServers {
    /// Takes in who has answered. Returns the processes that turn out to have gone by that.
    pub fn take_in(&mut self, call: &RollCall<'_>) -> Vec<LostServer> {
        let back = call.now.clock_back_since(call.known);
        for since in self.unheard.iter_mut().filter_map(|unheard| unheard.since.as_mut()) {
            *since = since.saturating_sub(back);
        }
        let call = &RollCall { known: &call.known.set_back(back), ..*call };
        let RollCall { now, known, servers, copied, .. } = *call;
        let mut gone = self.settle(call);
        let mut others = now.lost_since(known, servers, copied == Copied::AllAsked);
        others.retain(|other| gone.iter().all(|lost| lost.server != other.server));
        gone.extend(others);
        for lost in &gone {
            lost.clone().add_to(&mut self.gone);
        }
        if copied != Copied::AllAsked {
            self.unheard.iter_mut().for_each(|unheard| unheard.after_copy = false);
        }
        if copied == Copied::All {
            let is_silent = |process: &&SourceProcess| {
                now.at(&process.server).is_none() && !servers.lack(&process.server)
            };
            self.doubt(known.0.iter().filter(is_silent));
        }
        let is_new = |server: &&String| now.at(server).is_none() && known.at(server).is_none();
        for server in servers.names.iter().filter(is_new) {
            let (server, after_copy) = (server.clone(), copied == Copied::AllAsked);
            UnheardServer { server, since: Some(call.since), after_copy }.add_to(&mut self.unheard);
        }
        gone
    }

    /// Takes out those that were not heard before and answer now, or have left. Returns those of them that have gone:
    /// nobody knows whether that was before everything was here, unless they have joined after that.
    fn settle(&mut self, call: &RollCall<'_>) -> Vec<LostServer> {
        let mut gone = Vec::new();
        self.unheard.retain_mut(|unheard| {
            let how = match call.now.at(&unheard.server) {
                Some(process) if unheard.is(process, call.known) => return false,
                Some(_) => Gone::Replaced,
                None if call.servers.lack(&unheard.server) => Gone::Left,
                None => return true,
            };
            let (server, after_copy) = (unheard.server.clone(), unheard.after_copy);
            gone.push(LostServer { server, how, after_copy });
            false
        });
        gone
    }

    /// Adds servers whose processes are known: each may have been started again since it last answered.
    pub fn doubt<'a>(&mut self, known: impl Iterator<Item = &'a SourceProcess>) {
        known.for_each(|process| {
            let server = process.server.clone();
            UnheardServer { server, since: None, after_copy: false }.add_to(&mut self.unheard);
        });
    }

    /// Forgets these servers, because the operator accepts what they have lost, or may have.
    pub fn accept(&mut self, servers: &[String]) {
        self.gone.retain(|lost| lost.after_copy || !servers.contains(&lost.server));
        self.unheard.retain(|unheard| unheard.after_copy || !servers.contains(&unheard.server));
    }

    /// Returns whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.unheard.is_empty()
    }

    /// Returns whether it names the same servers for the same reasons. By which clock they are compared may differ.
    #[must_use]
    pub fn says_as_much_as(&self, other: &Self) -> bool {
        let named = |all: &Self| -> Vec<(String, bool, bool)> {
            let named = |it: &UnheardServer| (it.server.clone(), it.since.is_some(), it.after_copy);
            all.unheard.iter().map(named).collect()
        };
        self.gone == other.gone && named(self) == named(other)
    }
}

impl LostServer {
    /// Adds one to those that are known. One that was lost before everything was here stays so. Returns whether this
    /// says something new.
    fn add_to(self, all: &mut Vec<Self>) -> bool {
        let has_room = all.len() < MOST;
        let at = all.iter().position(|known| known.server == self.server);
        // Where there is no room, one that has taken nothing along gives way.
        let gives_way = || all.iter().position(|known| known.after_copy);
        match at.or_else(|| if has_room { None } else { gives_way() }) {
            None if has_room => all.push(self),
            None => return false,
            Some(at) => {
                let is_new = |known: &&mut Self| known.after_copy && !self.after_copy;
                let Some(known) = all.get_mut(at).filter(is_new) else { return false };
                *known = self;
            }
        }
        true
    }
}

impl SourceIdentity {
    /// Returns the processes of `earlier` that have gone since: another one answers in their place, or the source
    /// consists of other `servers` now. One that was not heard may go on.
    fn lost_since(
        &self,
        earlier: &Self,
        servers: &SourceServers,
        after_copy: bool,
    ) -> Vec<LostServer> {
        let lost = earlier.0.iter().filter_map(|known| {
            let how = match self.at(&known.server) {
                Some(now) if now.continues(known) => return None,
                Some(_) => Gone::Replaced,
                None if servers.lack(&known.server) => Gone::Left,
                None => return None,
            };
            Some(LostServer { server: known.server.clone(), how, after_copy })
        });
        lost.collect()
    }

    /// Seconds by which our clock was set back, or stood still, since the processes of `earlier` were asked: by it, they
    /// were started so much earlier now. If they seem to be started later, they may have stood still themselves: whoever
    /// compares instants of both times does so as if our clock had not been set forward.
    #[must_use]
    pub fn clock_back_since(&self, earlier: &Self) -> u64 {
        let back = self.0.iter().filter_map(|process| {
            let known = earlier.at(&process.server).filter(|known| process.continues(known))?;
            let (now, then) = process.started.zip(known.started)?;
            Some(then.saturating_sub(now)).filter(|back| *back > START_TOLERANCE)
        });
        back.max().unwrap_or(0)
    }

    /// The same processes by a clock that was set back by so many seconds since.
    #[must_use]
    pub(super) fn set_back(&self, back: u64) -> Self {
        let mut all = self.clone();
        for started in all.0.iter_mut().filter_map(|process| process.started.as_mut()) {
            *started = started.saturating_sub(back);
        }
        all
    }
}

#[cfg(test)]
mod tests;
