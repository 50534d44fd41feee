//! What one connection is told without having asked, and has not taken up: bounded, and its end when the bound is reached.

use command::Reply;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use stdx::Mono;

/// Bytes that a message takes in a queue besides its own, roughly.
const OVERHEAD_BYTES: usize = 64;

/// The class `pubsub` of `client-output-buffer-limit`. Zero bytes mean no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PushLimits {
    /// Bytes beyond which a client is closed at once.
    pub hard: usize,
    /// Bytes beyond which it is closed after a while.
    pub soft: usize,
    /// How long it may stay beyond `soft`.
    pub soft_for: Duration,
}

impl PushLimits {
    /// The default of Redis.
    pub const DEFAULT: PushLimits = PushLimits { hard: 32 << 20, soft: 8 << 20, soft_for: Duration::from_secs(60) };
}

/// Messages for one connection, oldest first. Those of many connections are shared.
#[derive(Debug, Default)]
pub struct Pushes {
    queue: VecDeque<Arc<Reply>>,
    bytes: usize,
    beyond_soft_since: Option<Mono>,
    overrun: bool,
}

impl Pushes {
    /// Queues a message. False when that exceeds the limits: then nothing is kept, now or later, and the connection is to be
    /// closed.
    pub fn push(&mut self, message: &Arc<Reply>, limits: PushLimits, now: Mono) -> bool {
        if self.overrun {
            return false;
        }
        self.bytes += size(message);
        let beyond = |limit: usize| limit > 0 && self.bytes > limit;
        let since = beyond(limits.soft).then(|| self.beyond_soft_since.unwrap_or(now));
        if beyond(limits.hard) || since.is_some_and(|since| now.since(since) > limits.soft_for) {
            *self = Pushes { overrun: true, ..Pushes::default() };
            return false;
        }
        self.beyond_soft_since = since;
        self.queue.push_back(message.clone());
        true
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<Arc<Reply>> {
        let message = self.queue.pop_front()?;
        self.bytes -= size(&message);
        if self.queue.is_empty() {
            // Room for a burst is given back.
            *self = Pushes::default();
        }
        Some(message)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes of those that wait, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn size(message: &Reply) -> usize {
    message.size_bytes() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::{PushLimits, Pushes};
    use command::Reply;
    use std::sync::Arc;
    use std::time::Duration;
    use stdx::Mono;

    const LIMITS: PushLimits = PushLimits { hard: 3000, soft: 1000, soft_for: Duration::from_secs(2) };

    /// Pushes a message of about 1,100 bytes at each of these seconds, taking one before where the number is negative;
    /// which of them were kept.
    fn check(seconds: &[i64]) -> Vec<bool> {
        let message = Arc::new(Reply::Bulk(vec![0; 1020].into()));
        let mut pushes = Pushes::default();
        let push = |at: &i64| {
            if *at < 0 {
                pushes.pop();
            }
            pushes.push(&message, LIMITS, Mono(1 + at.unsigned_abs() * 1_000_000_000))
        };
        seconds.iter().map(push).collect()
    }

    #[test]
    fn a_connection_that_does_not_read_is_closed_at_its_limits() {
        assert_eq!(check(&[0, 0, 0, 0]), [true, true, false, false], "the hard limit is two and a half");
        assert_eq!(check(&[0, 2, 3]), [true, true, false], "two seconds beyond the soft limit are too many");
        assert_eq!(check(&[0, -2, -4, -6]), [true; 4], "one that reads all of it is not beyond");
        assert_eq!(check(&[0, 3]), [true, false]);
    }

    #[test]
    fn messages_leave_in_order() {
        let mut pushes = Pushes::default();
        for n in 0..3 {
            assert!(pushes.push(&Arc::new(Reply::Integer(n)), PushLimits::DEFAULT, Mono(1)));
        }
        let left: Vec<_> = std::iter::from_fn(|| pushes.pop()).map(|m| (*m).clone()).collect();
        assert_eq!(left, [Reply::Integer(0), Reply::Integer(1), Reply::Integer(2)]);
        assert_eq!((pushes.len(), pushes.bytes(), pushes.is_empty()), (0, 0, true));
    }
}
