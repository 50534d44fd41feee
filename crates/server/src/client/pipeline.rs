//! Replies of one connection, in the order of its commands, whatever the order in which answers come.

use crate::mailbox::{Answer, Delivery};
use command::Reply;
use node::gateway::{Finish, Session};
use protocol::resp::Version;
use std::collections::VecDeque;
use stdx::ShardId;

/// What becomes of a reply.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How it is encoded.
    pub version: Version,
    /// CLIENT REPLY: it is thrown away.
    pub mute: bool,
}

/// A command whose reply has not left.
#[derive(Debug)]
struct Entry {
    manner: Manner,
    state: State,
    /// Counted among the reads until its reply leaves.
    read: bool,
}

#[derive(Debug)]
enum State {
    Ready(Reply),
    /// One shard was asked.
    Asked {
        shard: ShardId,
        finish: Finish,
        detour: bool,
    },
    /// Several were.
    Fanned {
        shards: Vec<ShardId>,
        answers: Vec<Option<Answer>>,
        missing: usize,
        finish: Finish,
    },
}

/// The commands of one connection whose replies have not left.
#[derive(Debug, Default)]
pub struct Pipeline {
    first: u64,
    entries: VecDeque<Entry>,
    detours: usize,
    reads: usize,
}

impl Pipeline {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every reply has left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether requests are in the dispatcher's hands: later ones must go the same way, or they could overtake.
    #[must_use]
    pub fn has_detours(&self) -> bool {
        self.detours > 0
    }

    /// Reads whose reply has not left: each may be large, so few may wait at once.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.reads
    }

    /// Takes a reply that has to wait for earlier ones.
    pub fn ready(&mut self, reply: Reply, manner: Manner) {
        self.entries.push_back(Entry { manner, state: State::Ready(reply), read: false });
    }

    /// Takes a request to one shard; the number under which its answer is to be delivered.
    pub fn asked(&mut self, shard: ShardId, finish: Finish, detour: bool, read: bool, manner: Manner) -> u64 {
        self.detours += usize::from(detour);
        self.reads += usize::from(read);
        self.push(State::Asked { shard, finish, detour }, manner, read)
    }

    /// Takes requests to several shards; the number under which their answers are to be delivered, by part.
    pub fn fanned(&mut self, shards: Vec<ShardId>, finish: Finish, manner: Manner) -> u64 {
        self.detours += 1;
        let answers = shards.iter().map(|_| None).collect();
        let missing = shards.len();
        self.reads += 1;
        self.push(State::Fanned { shards, answers, missing, finish }, manner, true)
    }

    fn push(&mut self, state: State, manner: Manner, read: bool) -> u64 {
        self.entries.push_back(Entry { manner, state, read });
        self.first + self.entries.len() as u64 - 1
    }

    /// An answer arrived.
    pub fn deliver(&mut self, delivery: Delivery, session: &mut Session) {
        let Some(at) = delivery.slot.checked_sub(self.first).and_then(|at| usize::try_from(at).ok()) else { return };
        let Some(entry) = self.entries.get_mut(at) else { return };
        let reply = match &mut entry.state {
            State::Ready(_) => return,
            State::Asked { shard, finish, detour } => {
                session.answered(*shard);
                self.detours -= usize::from(*detour);
                match (std::mem::replace(finish, Finish::Plain), delivery.answer) {
                    (Finish::Plain, answer) => answer.unwrap_or_else(Reply::from),
                    (finish, answer) => finish.apply(vec![answer]),
                }
            }
            State::Fanned { shards, answers, missing, finish } => {
                let part = delivery.part as usize;
                let Some(cell @ None) = answers.get_mut(part) else { return };
                *cell = Some(delivery.answer);
                session.answered(shards[part]);
                *missing -= 1;
                if *missing > 0 {
                    return;
                }
                self.detours -= 1;
                let answers = std::mem::take(answers).into_iter().flatten().collect();
                std::mem::replace(finish, Finish::Plain).apply(answers)
            }
        };
        entry.state = State::Ready(reply);
    }

    /// The next reply in order, if it is there.
    pub fn pop(&mut self) -> Option<(Reply, Manner)> {
        if !matches!(self.entries.front()?.state, State::Ready(_)) {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.first += 1;
        self.reads -= usize::from(entry.read);
        match entry.state {
            State::Ready(reply) => Some((reply, entry.manner)),
            State::Asked { .. } | State::Fanned { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use command::SessionId;
    use node::gateway::Port;

    const PLAIN: Manner = Manner { version: Version::V2, mute: false };

    #[test]
    fn replies_leave_in_the_order_of_commands() {
        let mut session = Session::new(SessionId::default(), Port::Plain);
        let mut p = Pipeline::default();
        let shard = ShardId(1);
        let (a, b) =
            (p.asked(shard, Finish::Plain, false, false, PLAIN), p.asked(shard, Finish::Plain, true, true, PLAIN));
        p.ready(Reply::OK, PLAIN);
        let c = p.fanned(vec![ShardId(2), ShardId(3)], Finish::Sum, PLAIN);
        assert!(p.has_detours());
        let deliver = |p: &mut Pipeline, session: &mut Session, slot, part, n| {
            p.deliver(Delivery { slot, part, answer: Ok(Reply::Integer(n)) }, session);
        };
        deliver(&mut p, &mut session, b, 0, 2);
        deliver(&mut p, &mut session, c, 1, 30);
        assert!(p.pop().is_none());
        deliver(&mut p, &mut session, a, 0, 1);
        let mut popped = Vec::new();
        while let Some((reply, _)) = p.pop() {
            popped.push(reply);
        }
        assert_eq!(popped, [Reply::Integer(1), Reply::Integer(2), Reply::OK]);
        deliver(&mut p, &mut session, c, 0, 4);
        // An answer that comes twice, or to nobody, changes nothing.
        deliver(&mut p, &mut session, c, 0, 5);
        deliver(&mut p, &mut session, 99, 0, 5);
        assert_eq!(p.pop().map(|(r, _)| r), Some(Reply::Integer(34)));
        assert!(p.is_empty() && !p.has_detours());
    }
}
