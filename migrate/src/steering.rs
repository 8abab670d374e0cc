//! How a job that runs is steered, and waited for.
//!
//! What is wanted of a job waits in a bounded queue until the job hears it, so whether it was told to pause is known
//! at once, and whether it is over is known also if its task is gone.

use std::{future::pending, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::sync::Event;

/// What operators and clients want of a job and it has not heard yet.
const MOST_ORDERS: usize = 64;

/// How long a job that is paused keeps its places at the source, which forgets iterations that nobody goes on with.
pub(crate) const LONG_PAUSE: Duration = Duration::from_secs(30);

/// Steers a job, and waits for it.
#[derive(Clone)]
pub(crate) struct Steering {
    orders: mpsc::Sender<Event>,
    over: watch::Receiver<bool>,
    /// Whether it was told to pause, and not to go on, whether or not it has heard that yet.
    told_to_pause: watch::Sender<bool>,
}

/// The other end of [`Steering`]: the job's.
pub(crate) struct Steered {
    /// What is wanted of the job.
    pub(crate) orders: mpsc::Receiver<Event>,
    /// Held until the job is over.
    pub(crate) over: Over,
}

/// Says that a job is over once it is dropped, whatever ends its task.
pub(crate) struct Over(watch::Sender<bool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// The two ends of a job that begins.
pub(crate) fn steering() -> (Steering, Steered) {
    let (sender, orders) = mpsc::channel(MOST_ORDERS);
    let (end, over) = watch::channel(false);
    let steering = Steering { orders: sender, over, told_to_pause: watch::Sender::new(false) };
    (steering, Steered { orders, over: Over(end) })
}

/// Waits until then, or for ever.
pub(crate) async fn over_at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => pending().await,
    }
}

impl Steering {
    /// Tells the job what an operator, or a client, wants. False if it hears nothing any more.
    pub(crate) fn tell(&self, order: Event) -> bool {
        let pauses = match order {
            Event::Pause => Some(true),
            Event::Resume => Some(false),
            _ => None,
        };
        let is_told = self.orders.try_send(order).is_ok();
        if let (true, Some(pauses)) = (is_told, pauses) {
            self.told_to_pause.send_replace(pauses);
        }
        is_told
    }

    /// Returns whether the job waits for [`Event::Resume`], or will once it has heard what it was told.
    pub(crate) fn is_told_to_pause(&self) -> bool {
        *self.told_to_pause.borrow()
    }

    /// Waits until the job is over.
    pub(crate) async fn over(&self) {
        let mut over = self.over.clone();
        // Cannot fail: the other end says so before it goes.
        let _ = over.wait_for(|over| *over).await;
    }

    /// Waits for what comes of the job. `None` if it is told to pause first: nobody knows for how long.
    pub(crate) async fn unless_paused<T>(&self, end: impl Future<Output = T>) -> Option<T> {
        let mut told = self.told_to_pause.subscribe();
        tokio::select! {
            biased;
            end = end => Some(end),
            // Cannot fail: this is an end of it.
            _ = told.wait_for(|told| *told) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    //! What a job hears, and what is known of one that is gone.

    use std::future::ready;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_job_hears_what_it_is_told_until_it_is_over() {
        let (steering, mut job) = steering();
        assert!(!steering.is_told_to_pause());
        assert!(steering.tell(Event::Pause) && steering.is_told_to_pause());
        assert!(steering.tell(Event::Cancel) && steering.is_told_to_pause());
        assert!(steering.tell(Event::Resume) && !steering.is_told_to_pause());
        for order in [Event::Pause, Event::Cancel, Event::Resume] {
            assert_eq!(job.orders.recv().await, Some(order));
        }
        assert_eq!(steering.over().now_or_never(), None);
        drop(job);
        steering.over().await;
        assert!(!steering.tell(Event::Pause) && !steering.is_told_to_pause());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_job_that_is_told_to_pause() {
        let (steering, job) = steering();
        let waiting = steering.clone();
        let waiting = tokio::spawn(async move { waiting.unless_paused(pending::<()>()).await });
        assert!(steering.tell(Event::Pause));
        assert_eq!(waiting.await.unwrap(), None);
        assert_eq!(steering.unless_paused(ready(7)).await, Some(7), "it is over all the same");
        assert!(steering.tell(Event::Resume));
        assert_eq!(steering.unless_paused(pending::<()>()).now_or_never(), None, "it goes on");
        drop(job);
    }

    #[tokio::test]
    async fn a_job_that_hears_nothing_is_not_told_more_and_more() {
        let (steering, job) = steering();
        assert!((0..MOST_ORDERS).all(|_| steering.tell(Event::Cancel)));
        assert!(!steering.tell(Event::Pause) && !steering.is_told_to_pause());
        drop(job);
    }
}
