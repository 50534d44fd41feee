//! Replies of one connection, in the order of its commands, whatever the order in which answers come.

use super::action::{Finish, Turn};
use super::session::Session;
use crate::io::Task;
use crate::patience::Ended;
use crate::shared::RouteTable;
use cluster::{Request, Unblock};
use command::{Fault, Reply, Retry, SessionId, Work};
use smallvec::SmallVec;
use std::collections::VecDeque;
use stdx::{NodeId, ShardId};

/// What comes back for a request.
pub type Answer = Result<Reply, Fault>;

/// A command whose reply has not left.
#[derive(Debug)]
struct Entry<M> {
    manner: M,
    state: State,
    /// What is to be carried out when the reply leaves.
    turns: Vec<Turn>,
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
    },
    /// Several were.
    Fanned {
        shards: Vec<ShardId>,
        answers: Vec<Option<Answer>>,
        missing: usize,
        finish: Finish,
    },
}

/// The last answer to a command arrived.
#[derive(Debug)]
pub struct Delivered<'a, M> {
    /// What the client will be told.
    pub reply: &'a Reply,
    /// How.
    pub manner: &'a mut M,
    /// The cluster refused it before it ran.
    pub refused: bool,
}

/// The commands of one connection whose replies have not left. `M` is the shell's: the manner in which a reply leaves.
#[derive(Debug)]
pub struct Pipeline<M> {
    first: u64,
    entries: VecDeque<Entry<M>>,
    ways: SmallVec<[UnderWay; 2]>,
    reads: usize,
    /// Bytes of replies that wait for earlier ones.
    ready_bytes: usize,
    blocked: Option<Blocked>,
}

/// A command that may wait, under way: until it is answered its connection takes up no other.
#[derive(Clone, Debug)]
pub struct Blocked {
    slot: u64,
    /// Whose it is.
    pub session: SessionId,
    /// Where it waits.
    pub shard: ShardId,
    /// Which of the session's waits it is.
    pub number: u64,
    ended: Ended,
}

impl Blocked {
    /// Ends the wait for whoever holds its task on this node. The local worker of the shard and the dispatcher are to be
    /// told, for the case that it rests with one of them.
    pub fn end(&self, how: Unblock) {
        self.ended.set(how);
    }
}

/// How requests get to the leader of their shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Straight to the local worker of this number.
    Local(usize),
    /// Through the dispatcher.
    Dispatched,
}

/// Requests of one shard that are not answered; all of them went the same way.
#[derive(Debug)]
struct UnderWay {
    shard: ShardId,
    way: Way,
    count: usize,
}

impl<M> Default for Pipeline<M> {
    fn default() -> Pipeline<M> {
        Pipeline { first: 0, entries: VecDeque::new(), ways: SmallVec::new(), reads: 0, ready_bytes: 0, blocked: None }
    }
}

impl<M> Pipeline<M> {
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

    /// How a request travels: as those before it that are under way to its shard, because it could overtake them otherwise;
    /// else straight to the worker here if this node leads the shard. A worker that leads no more gives all of them back in
    /// order.
    #[must_use]
    pub fn way(&self, request: &Request, table: &RouteTable, node: NodeId) -> Way {
        let Some(handle) = table.shards.get(&request.shard).filter(|h| h.local.is_some()) else {
            return Way::Dispatched;
        };
        let direct = handle.leader() == Some(node) || request.stale_ok;
        let here = if direct { Way::Local(handle.worker) } else { Way::Dispatched };
        self.ways.iter().find(|w| w.shard == request.shard).map_or(here, |w| w.way)
    }

    /// Reads whose reply has not left: each may be large, so few may wait at once.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.reads
    }

    /// Bytes of replies that are here and have not left, roughly.
    #[must_use]
    pub fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Takes a reply that has to wait for earlier ones.
    pub fn ready(&mut self, reply: Reply, turns: Vec<Turn>, manner: M) {
        self.ready_bytes += reply.size_bytes();
        self.entries.push_back(Entry { manner, state: State::Ready(reply), turns, read: false });
    }

    /// Lets the reply to the latest command lead to `turns` when it leaves.
    pub fn with_turns(&mut self, turns: Vec<Turn>) {
        if let Some(latest) = self.entries.back_mut() {
            latest.turns = turns;
        }
    }

    /// Whether a reply can leave.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.entries.front().is_some_and(|entry| matches!(entry.state, State::Ready(_)))
    }

    /// Takes a request to one shard; the number under which its answer is to be delivered.
    pub fn asked(&mut self, shard: ShardId, finish: Finish, way: Way, read: bool, manner: M) -> u64 {
        self.sent(shard, way);
        self.reads += usize::from(read);
        self.push(State::Asked { shard, finish }, manner, read)
    }

    /// Notes that the request of this number may wait, if its task says so.
    pub fn may_block<R>(&mut self, slot: u64, task: &Task<R>) {
        if let (Some(patience), Work::Blocking { number, .. }) = (&task.patience, &task.request.work) {
            let (session, shard, ended) = (task.request.session, task.request.shard, patience.ended.clone());
            self.blocked = Some(Blocked { slot, session, shard, number: *number, ended });
        }
    }

    /// The command that may wait and is not answered, if there is one.
    #[must_use]
    pub fn blocked(&self) -> Option<&Blocked> {
        self.blocked.as_ref()
    }

    /// Takes requests to several shards; the number under which their answers are to be delivered, by part.
    pub fn fanned(&mut self, parts: Vec<(ShardId, Way)>, finish: Finish, manner: M) -> u64 {
        parts.iter().for_each(|(shard, way)| self.sent(*shard, *way));
        let shards: Vec<ShardId> = parts.into_iter().map(|(shard, _)| shard).collect();
        let answers = shards.iter().map(|_| None).collect();
        let missing = shards.len();
        self.reads += 1;
        self.push(State::Fanned { shards, answers, missing, finish }, manner, true)
    }

    fn sent(&mut self, shard: ShardId, way: Way) {
        match self.ways.iter_mut().find(|w| w.shard == shard) {
            Some(under_way) => under_way.count += 1,
            None => self.ways.push(UnderWay { shard, way, count: 1 }),
        }
    }

    fn push(&mut self, state: State, manner: M, read: bool) -> u64 {
        self.entries.push_back(Entry { manner, state, turns: Vec::new(), read });
        self.first + self.entries.len() as u64 - 1
    }

    /// The answer to a part of the request of this number arrived. The command's reply, if that was the last part.
    pub fn deliver(&mut self, slot: u64, part: u32, answer: Answer, session: &mut Session) -> Option<Delivered<'_, M>> {
        let at = slot.checked_sub(self.first).and_then(|at| usize::try_from(at).ok())?;
        let entry = self.entries.get_mut(at)?;
        let mut refused = false;
        let reply = match &mut entry.state {
            State::Ready(_) => return None,
            State::Asked { shard, finish } => {
                self.blocked.take_if(|blocked| blocked.slot == slot);
                session.answered(*shard);
                answered(&mut self.ways, *shard);
                refused = answer.as_ref().is_err_and(|fault| fault.retry() != Retry::Unknown);
                match (std::mem::replace(finish, Finish::Plain), answer) {
                    (Finish::Plain, answer) => answer.unwrap_or_else(Reply::from),
                    (finish, answer) => finish.apply(vec![answer]),
                }
            }
            State::Fanned { shards, answers, missing, finish } => {
                let part = part as usize;
                let Some(cell @ None) = answers.get_mut(part) else { return None };
                *cell = Some(answer);
                session.answered(shards[part]);
                answered(&mut self.ways, shards[part]);
                *missing -= 1;
                if *missing > 0 {
                    return None;
                }
                let answers = std::mem::take(answers).into_iter().flatten().collect();
                std::mem::replace(finish, Finish::Plain).apply(answers)
            }
        };
        self.ready_bytes += reply.size_bytes();
        entry.state = State::Ready(reply);
        let Entry { manner, state: State::Ready(reply), .. } = entry else { return None };
        Some(Delivered { reply, manner, refused })
    }

    /// The next reply in order, if it is there, with what is to be carried out first.
    pub fn pop(&mut self) -> Option<(Reply, Vec<Turn>, M)> {
        if !self.is_ready() {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.first += 1;
        self.reads -= usize::from(entry.read);
        match entry.state {
            State::Ready(reply) => {
                self.ready_bytes -= reply.size_bytes();
                Some((reply, entry.turns, entry.manner))
            }
            State::Asked { .. } | State::Fanned { .. } => None,
        }
    }
}

fn answered(ways: &mut SmallVec<[UnderWay; 2]>, shard: ShardId) {
    if let Some(at) = ways.iter().position(|w| w.shard == shard) {
        ways[at].count -= 1;
        if ways[at].count == 0 {
            ways.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Port;
    use command::SessionId;

    const PLAIN: () = ();

    #[test]
    fn replies_leave_in_the_order_of_commands() {
        let mut session = Session::new(SessionId::default(), Port::Plain);
        let mut p = Pipeline::<()>::default();
        let shard = ShardId(1);
        let (a, b) = (
            p.asked(shard, Finish::Plain, Way::Local(0), false, PLAIN),
            p.asked(shard, Finish::Plain, Way::Local(0), true, PLAIN),
        );
        p.ready(Reply::OK, Vec::new(), PLAIN);
        let c = p.fanned(vec![(ShardId(2), Way::Dispatched), (ShardId(3), Way::Local(1))], Finish::Sum, PLAIN);
        let counts: Vec<_> = p.ways.iter().map(|w| (w.shard.0, w.way, w.count)).collect();
        assert_eq!(counts, [(1, Way::Local(0), 2), (2, Way::Dispatched, 1), (3, Way::Local(1), 1)]);
        let deliver = |p: &mut Pipeline<()>, session: &mut Session, slot, part, n| {
            p.deliver(slot, part, Ok(Reply::Integer(n)), session);
        };
        deliver(&mut p, &mut session, b, 0, 2);
        deliver(&mut p, &mut session, c, 1, 30);
        assert!(p.pop().is_none());
        deliver(&mut p, &mut session, a, 0, 1);
        let mut popped = Vec::new();
        while let Some((reply, ..)) = p.pop() {
            popped.push(reply);
        }
        assert_eq!(popped, [Reply::Integer(1), Reply::Integer(2), Reply::OK]);
        deliver(&mut p, &mut session, c, 0, 4);
        // An answer that comes twice, or to nobody, changes nothing.
        deliver(&mut p, &mut session, c, 0, 5);
        deliver(&mut p, &mut session, 99, 0, 5);
        assert_eq!(p.pop().map(|(r, ..)| r), Some(Reply::Integer(34)));
        assert!(p.is_empty() && p.ways.is_empty() && p.ready_bytes() == 0);
    }
}
