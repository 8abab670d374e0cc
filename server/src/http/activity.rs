//! What an HTTP connection does. Over HTTP/2, it does several things at a time.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::CONNECTION_WINDOW;
use crate::budget::{Charge, Doing, Share};

/// The requests of a connection that are under way.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) share: Arc<Share>,
    counts: Mutex<Counts>,
    window: Mutex<Weak<Charge>>,
}

#[derive(Debug, Default)]
struct Counts {
    working: usize,
    receiving: usize,
    sending: usize,
}

impl Counts {
    fn of(&mut self, doing: Doing) -> Option<&mut usize> {
        match doing {
            Doing::Nothing => None,
            Doing::Receiving => Some(&mut self.receiving),
            Doing::Working => Some(&mut self.working),
            Doing::Sending => Some(&mut self.sending),
        }
    }

    /// What the connection does as a whole: what its peer has to go on with comes first.
    fn together(&self) -> Doing {
        match self {
            Self { sending: 1.., .. } => Doing::Sending,
            Self { receiving: 1.., .. } => Doing::Receiving,
            Self { working: 1.., .. } => Doing::Working,
            Self { .. } => Doing::Nothing,
        }
    }
}

impl Activity {
    pub(super) fn of(share: Arc<Share>) -> Arc<Self> {
        Arc::new(Self { share, counts: Mutex::default(), window: Mutex::default() })
    }

    /// What the contents of HTTP/2 requests take before they are asked for, all of them together.
    pub(super) fn window(&self) -> Arc<Charge> {
        let mut window = self.window.lock();
        window.upgrade().unwrap_or_else(|| {
            let mut charge = self.share.charge();
            charge.set(CONNECTION_WINDOW as usize);
            let charge = Arc::new(charge);
            *window = Arc::downgrade(&charge);
            charge
        })
    }

    /// Notes that a request is at this point, until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>, doing: Doing) -> Under {
        self.change(doing, |count| *count += 1);
        Under { activity: Arc::clone(self), doing }
    }

    fn change(&self, doing: Doing, change: impl FnOnce(&mut usize)) {
        let mut counts = self.counts.lock();
        counts.of(doing).map(change);
        self.share.does(counts.together());
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Under {
    activity: Arc<Activity>,
    doing: Doing,
}

impl Drop for Under {
    fn drop(&mut self) {
        self.activity.change(self.doing, |count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    //! What a connection with several requests does.

    use store::Timestamp;

    use super::*;
    use crate::budget::{Budget, FREE};

    #[test]
    fn all_contents_that_arrive_over_one_connection_share_a_window() {
        let budget = Budget::new(1_000_000, None, Timestamp::from_millis(1));
        let activity = Activity::of(budget.share(([127, 0, 0, 1], 1).into()));
        let windows = [activity.window(), activity.window()];
        let taken = (CONNECTION_WINDOW as usize - FREE) as u64;
        assert_eq!(budget.used(), taken);
        let [one, other] = windows;
        drop(one);
        assert_eq!(budget.used(), taken);
        drop(other);
        assert_eq!(budget.used(), 0);
        let _again = activity.window();
        assert_eq!(budget.used(), taken);
    }

    #[test]
    fn what_its_peer_has_to_go_on_with_comes_first() {
        let budget = Budget::new(1_000_000, None, Timestamp::from_millis(1));
        let activity = Activity::of(budget.share(([127, 0, 0, 1], 1).into()));
        let together = || activity.counts.lock().together();
        assert_eq!(together(), Doing::Nothing);
        let working = activity.begin(Doing::Working);
        assert_eq!(together(), Doing::Working);
        let receiving = activity.begin(Doing::Receiving);
        let sending = [activity.begin(Doing::Sending), activity.begin(Doing::Sending)];
        drop(working);
        assert_eq!(together(), Doing::Sending);
        drop(sending);
        assert_eq!(together(), Doing::Receiving);
        drop(receiving);
        assert_eq!(together(), Doing::Nothing);
    }
}
