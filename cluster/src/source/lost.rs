//! Servers of a source that have gone while a cache was connected, with the entries that only they had.

use super::SourceIdentity;

/// Most servers that are told apart: beyond that, it does not matter any more which they were.
const MOST: usize = 100;

/// A server of a source whose process has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostServer {
    /// Its address.
    pub server: String,
    /// Whether another process took its place, it left, or only stopped answering.
    pub how: Gone,
    /// Whether everything had been copied from the source before the server went. If not, entries of which no other
    /// server had a copy are lost, and the cache is not `VERIFIED` until its operator accepts that.
    pub after_copy: bool,
}

/// What became of a server that answered before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Another process has taken its place.
    Replaced,
    /// The source does not announce it any more.
    Left,
    /// It did not answer any more between the end of the copy and the disconnect. The next connection finds out whether
    /// it is still the same process.
    Unheard,
}

impl LostServer {
    /// Adds one to those that are known. One that was lost before everything was here stays so, and one that may have
    /// been is known by how it has gone. Returns whether this says something new.
    pub fn add_to(self, all: &mut Vec<Self>) -> bool {
        let has_room = all.len() < MOST;
        let at = all.iter().position(|known| known.server == self.server);
        // Where there is no room, one that has taken nothing along gives way.
        let gives_way = || all.iter().position(|known| known.after_copy);
        match at.or_else(|| if has_room { None } else { gives_way() }) {
            None if has_room => all.push(self),
            None => return false,
            Some(at) => {
                let is_new = |known: &&mut Self| {
                    let was_unheard = known.how == Gone::Unheard && self.how != Gone::Unheard;
                    !self.after_copy && (known.after_copy || was_unheard)
                };
                let known = all.get_mut(at).filter(is_new);
                let Some(known) = known else { return false };
                *known = self;
            }
        }
        true
    }
}

impl SourceIdentity {
    /// Returns the processes of `earlier` that have gone since: another one answers in their place, or `servers`, which
    /// the source consists of now, do not have them. One that was not heard may go on. `after_copy` says of each address
    /// whether everything of the source was here while its process was still there.
    #[must_use]
    pub fn lost_since(
        &self,
        earlier: &Self,
        servers: &[String],
        after_copy: impl Fn(&str) -> bool,
    ) -> Vec<LostServer> {
        let lost = earlier.0.iter().filter_map(|known| {
            let how = match self.at(&known.server) {
                Some(now) if now.continues(known) => return None,
                Some(_) => Gone::Replaced,
                None if servers.contains(&known.server) => return None,
                None => Gone::Left,
            };
            let (server, after_copy) = (known.server.clone(), after_copy(&known.server));
            Some(LostServer { server, how, after_copy })
        });
        lost.collect()
    }

    /// Addresses of its processes.
    #[must_use]
    pub fn servers(&self) -> Vec<String> {
        self.0.iter().map(|process| process.server.clone()).collect()
    }
}
