//! A call that may never return, made by a worker.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use tocsin_abi::Error;

use crate::harness::{Failure, Outcome, same};
use crate::kit::Ctx;
use crate::worker::Worker;

/// What stands for success.
const SUCCESS: u64 = 0xff00;

/// What a worker's call answered.
pub struct Answer(Worker, Arc<AtomicU64>);

/// Lets a worker make a call that may never return.
pub fn answers(
    ctx: &Ctx,
    cpu: u32,
    ask: impl FnOnce() -> Option<Error> + Send + 'static,
) -> Result<Answer, Failure> {
    let answer = Arc::new(AtomicU64::new(0));
    let place = answer.clone();
    let worker = Worker::start(ctx, cpu, 3, move || {
        place.store(ask().map_or(SUCCESS, |error| error as u64), SeqCst);
    })?;
    Ok(Answer(worker, answer))
}

impl Answer {
    #[track_caller]
    /// Waits for the answer, which must be this error, or none.
    pub fn is(self, wanted: Option<Error>, what: &str) -> Outcome {
        self.0.finished()?;
        same(self.1.load(SeqCst), wanted.map_or(SUCCESS, |error| error as u64), what)
    }

    /// Waits for the answer, whatever it is: the code of an error.
    pub fn code(self) -> Result<u64, Failure> {
        self.0.finished()?;
        Ok(self.1.load(SeqCst))
    }
}
