//! Clients of a workload on virtual time against the test server, with answers lost on the way.

use super::server::{Flaw, Server};
use crate::{ClientId, Operation, Outcome, Request, Step, Workload, is_settled};
use command::{Fault, Reply};
use std::collections::BTreeMap;
use std::time::Duration;
use stdx::{Mono, Rng};

/// How a workload is driven.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) clients: u64,
    pub(crate) requests: usize,
    /// One request in this many ends in a loss, and as many each in a refusal and in an unknown outcome.
    pub(crate) trouble: u64,
    pub(crate) clock_error: Duration,
    pub(crate) seed: u64,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { clients: 5, requests: 800, trouble: 40, clock_error: Duration::ZERO, seed: 0 }
    }
}

/// What happens to a request on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Fine,
    /// No answer; this many of its commands run.
    Lost(usize),
    Refused,
    /// Its last command answers UNKNOWNOUTCOME; whether it runs.
    Unknown(bool),
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Idle(u64),
    Run(usize, usize),
    End(usize),
}

struct World<'a> {
    workload: &'a mut dyn Workload,
    server: Server,
    rng: Rng,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    connections: BTreeMap<u64, u64>,
    next_connection: u64,
    history: Vec<Operation>,
    ways: Vec<Way>,
    replies: Vec<Vec<Reply>>,
}

/// The history of a workload against a server that is perfect or has one flaw, conclusion included.
pub(crate) fn drive(workload: &mut dyn Workload, plan: &Plan, flaw: Option<Flaw>) -> Vec<Operation> {
    let mut rng = Rng::new(plan.seed);
    let server = Server::new(flaw, plan.clock_error, rng.next_u64());
    let mut world = World {
        workload,
        server,
        rng,
        events: BTreeMap::new(),
        sequence: 0,
        connections: BTreeMap::new(),
        next_connection: 0,
        history: Vec::new(),
        ways: Vec::new(),
        replies: Vec::new(),
    };
    (0..plan.clients).for_each(|client| world.at(client * 100, Event::Idle(client)));
    let mut now = 0;
    while let Some(((at, _), event)) = world.events.pop_first() {
        now = at;
        match event {
            Event::Idle(client) if world.history.len() < plan.requests => world.idle(client, at, plan.trouble),
            Event::Idle(_) => {}
            Event::Run(operation, command) => world.run(operation, command, at),
            Event::End(operation) => world.end(operation, at),
        }
    }
    world.server.heal();
    world.conclude(now);
    world.history
}

const MS: u64 = 1_000_000;

impl World<'_> {
    fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((time, self.sequence), event);
    }

    fn reconnect(&mut self, client: u64) {
        self.next_connection += 1;
        self.connections.insert(client, self.next_connection);
    }

    fn idle(&mut self, client: u64, now: u64, trouble: u64) {
        if !self.connections.contains_key(&client) {
            self.reconnect(client);
        }
        match self.workload.next(ClientId(client), Mono(now), &mut self.rng) {
            Step::Send(request) => self.send(client, request, now, trouble),
            Step::Wait(span) => self.at(now + span.as_nanos() as u64 + 1, Event::Idle(client)),
            Step::Reconnect => {
                self.reconnect(client);
                self.at(now + MS, Event::Idle(client));
            }
        }
    }

    fn send(&mut self, client: u64, request: Request, now: u64, trouble: u64) {
        let commands = request.commands.len();
        assert!(commands > 0, "a request has commands");
        let way = match self.rng.below(trouble.max(3)) {
            0 => Way::Lost(self.rng.below(commands as u64 + 1) as usize),
            1 => Way::Refused,
            2 => Way::Unknown(self.rng.one_in(2)),
            _ => Way::Fine,
        };
        let operation = self.push(client, request, now, way);
        let is_open = !matches!(way, Way::Fine | Way::Refused);
        // Requests of unknown outcome may take effect long after everybody has forgotten them.
        let held = if is_open && self.rng.one_in(2) { self.rng.below(400 * MS) } else { 0 };
        let mut at = now + 1 + self.rng.below(2 * MS);
        let mut last = at;
        for command in 0..commands {
            self.at(at + held, Event::Run(operation, command));
            last = at;
            at += 1 + self.rng.below(MS / 4);
        }
        let back = last + 1 + self.rng.below(2 * MS);
        self.at(if is_open { back + 5 * MS } else { back }, Event::End(operation));
    }

    fn push(&mut self, client: u64, request: Request, now: u64, way: Way) -> usize {
        self.history.push(Operation {
            client: ClientId(client),
            node: 1,
            connection: self.connections.get(&client).copied().unwrap_or_default(),
            request,
            invoked: Mono(now),
            ended: Mono(now),
            outcome: Outcome::Lost,
        });
        self.ways.push(way);
        self.replies.push(Vec::new());
        self.history.len() - 1
    }

    fn run(&mut self, operation: usize, command: usize, now: u64) {
        let (connection, words) =
            (self.history[operation].connection, self.history[operation].request.commands[command].clone());
        let is_last = command + 1 == self.history[operation].request.commands.len();
        let reply = match self.ways[operation] {
            Way::Lost(run) if command >= run => return,
            Way::Refused => Fault::NoLeader.into(),
            Way::Unknown(runs) if is_last => {
                if runs {
                    self.server.run(connection, &words, Mono(now));
                }
                return;
            }
            _ => self.server.run(connection, &words, Mono(now)),
        };
        self.replies[operation].push(reply);
    }

    fn end(&mut self, operation: usize, now: u64) {
        let replies = std::mem::take(&mut self.replies[operation]);
        let ended = &mut self.history[operation];
        ended.ended = Mono(now);
        let client = ended.client.0;
        let unknown = Reply::from(Fault::OutcomeUnknown);
        match self.ways[operation] {
            Way::Lost(_) => {}
            Way::Unknown(_) => {
                // Replies that are held up with the last one are not known either.
                let mut all = replies;
                all.resize(ended.request.commands.len(), unknown);
                ended.outcome = Outcome::Answered(all);
            }
            _ => ended.outcome = Outcome::Answered(replies),
        }
        let lost = !matches!(self.ways[operation], Way::Fine | Way::Refused);
        self.workload.ended(&self.history[operation]);
        if lost {
            self.reconnect(client);
        }
        let next = now + 1 + self.rng.below(MS / 2);
        self.at(next, Event::Idle(client));
    }

    fn conclude(&mut self, mut now: u64) {
        for request in self.workload.conclusion() {
            now += 10 * MS;
            let commands = request.commands.len();
            let operation = self.push(u64::MAX, request, now, Way::Fine);
            (0..commands).for_each(|command| self.run(operation, command, now + MS));
            now += 2 * MS;
            self.history[operation].ended = Mono(now);
            self.history[operation].outcome = Outcome::Answered(std::mem::take(&mut self.replies[operation]));
            assert!(is_settled(&self.history[operation]), "{:?}", self.history[operation]);
        }
    }
}
