//! Memory of answers that are not sent yet. It has a limit of its own, beside that of the entries: a server
//! that is full goes on answering, and clients that do not read take no room from those that write.

use std::sync::Arc;

use store::MemoryLimit;

use super::errors::{self, Failure};

/// Bytes by which an answer may grow before they are counted.
const STEP: usize = 64 * 1024;

/// What one answer takes until it is sent.
pub(crate) struct Unsent {
    memory: Arc<MemoryLimit>,
    counted: i64,
}

impl Unsent {
    /// Nothing yet.
    pub(crate) fn new(memory: &Arc<MemoryLimit>) -> Self {
        Self { memory: Arc::clone(memory), counted: 0 }
    }

    /// Returns whether nothing is counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.counted == 0
    }

    /// The answer has `bytes` by now.
    ///
    /// # Errors
    ///
    /// If there is no memory left for them.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Failure> {
        let more = i64::try_from(bytes).unwrap_or(i64::MAX) - self.counted;
        let Ok(wanted) = usize::try_from(more) else { return Ok(()) };
        if wanted < STEP {
            return Ok(());
        }
        if self.memory.refuses(wanted) {
            let limit = self.memory.limit();
            let text = format!(
                "large answers that are not sent yet take {limit} bytes, as much as they may: ask for \
                 fewer keys, or iterate"
            );
            return Err(errors::failed(text));
        }
        self.memory.add(more);
        self.counted += more;
        Ok(())
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        if !self.is_empty() {
            self.memory.add(-self.counted);
        }
    }
}

#[cfg(test)]
mod tests {
    //! What is counted is given back.

    use super::*;

    #[test]
    fn an_answer_counts_until_it_is_dropped_and_does_not_grow_beyond_the_limit() {
        let memory = MemoryLimit::new(300_000);
        let mut answer = Unsent::new(&memory);
        assert!(answer.grow_to(1_000).is_ok() && answer.is_empty(), "small answers do not count");
        assert!(answer.grow_to(200_000).is_ok());
        assert_eq!(memory.used(), 200_000);
        let mut other = Unsent::new(&memory);
        let (status, text) = other.grow_to(200_000).unwrap_err();
        assert_eq!(status, hotrod::Status::ServerError);
        assert!(text.contains("not sent yet take 300000 bytes"), "{text}");
        drop(answer);
        assert_eq!(memory.used(), 0);
        assert!(other.grow_to(200_000).is_ok());
    }
}
