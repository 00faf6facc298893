//! The threads that the model computes on.
//!
//! Invariant: loading and scoring run on these threads only. Matrix products in candle split their
//! work with rayon, and rayon runs work on the pool from which it was asked; so a pool of our own
//! is a real limit, where candle's `RAYON_NUM_THREADS` is read from the environment and applies to
//! the whole process.

use super::reward::ModelError;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// More than any machine has cores for; a system that can start no more may end the program.
const MOST: usize = 1024;

/// A pool of threads; clones share it.
#[derive(Debug, Clone)]
pub struct Threads(Arc<ThreadPool>);

impl Threads {
    /// Starts `count` threads; by default as many as candle would use: `RAYON_NUM_THREADS`, or the
    /// number of physical cores. More than that are not used by matrix products.
    ///
    /// # Errors
    /// [`ModelError::Threads`] if the system refuses a thread.
    pub fn new(count: Option<NonZeroUsize>) -> Result<Self, ModelError> {
        let count = count.map_or_else(candle_core::utils::get_num_threads, NonZeroUsize::get);
        if count > MOST {
            return Err(ModelError::Threads(format!("{count} are more than {MOST}")));
        }
        ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|index| format!("model-{index}"))
            .build()
            .map(|pool| Self(Arc::new(pool)))
            .map_err(|error| ModelError::Threads(error.to_string()))
    }

    /// How many threads there are.
    #[must_use]
    pub fn count(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.0.current_num_threads()).unwrap_or(NonZeroUsize::MIN)
    }

    /// Runs `work` on the pool and waits for it; whatever it splits stays on the pool.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.0.install(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_are_asked_for_and_no_absurd_number() {
        let start = |count| Threads::new(NonZeroUsize::new(count));
        assert_eq!(start(3).unwrap().count().get(), 3);
        let error = start(100_000).unwrap_err().to_string();
        assert!(error.contains("100000 are more than 1024"), "{error}");
    }
}
