//! Clients: each runs a workload with one request at a time, over connections to any of the nodes, as a client library
//! would: it follows MOVED, waits a little after a refusal, and connects elsewhere when a connection breaks.

use super::{Event, World};
use crate::plan::Plan;
use bytes::Bytes;
use command::{Command, Reply};
use node::gateway::Port;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use stdx::{Mono, NodeId, Rng};
use workload::{ClientId, Namespace, Operation, Options, Outcome, Request, Step, Workload};

/// So long the concluding requests are waited for: longer than any request stays open on a node.
const PATIENCE: Duration = Duration::from_secs(7);
/// A client thinks for up to so long before its next request, in microseconds.
const THINK_US_MAX: u64 = 20_000;
/// It waits for up to so long after a refusal, in milliseconds.
const BACK_OFF_MS_MAX: u64 = 50;
/// It looks again so soon when no node accepts connections.
const NOBODY: Duration = Duration::from_millis(50);
/// A request takes up to so long to its node, in microseconds.
const REQUEST_US_MAX: u64 = 200;
/// The client of a group that sends the concluding requests, counted from the group's first.
const CONCLUDER: u64 = 999;
/// Numbers of clients of two groups are so far apart.
const GROUP_STRIDE: u64 = 1_000;

/// One workload with all its clients and what they saw.
pub struct Group {
    /// The workload.
    pub workload: Box<dyn Workload>,
    /// Its operations in the order in which they were sent.
    pub history: Vec<Operation>,
    concluding: VecDeque<Request>,
}

/// An operation under way.
struct Open {
    number: u64,
    place: usize,
    connection: u64,
    replies: Vec<Reply>,
}

struct Client {
    group: usize,
    /// Connections by namespace and node.
    connections: BTreeMap<(Namespace, NodeId), u64>,
    /// Where the library believes each slot to be led.
    leaders: BTreeMap<u16, NodeId>,
    home: BTreeMap<Namespace, NodeId>,
    open: Option<Open>,
    /// Connections on which a WATCH stands: the next request to that namespace goes there, or nowhere.
    watching: BTreeMap<Namespace, (NodeId, u64)>,
    answered_since_heal: bool,
}

struct Connection {
    client: u64,
    namespace: Namespace,
    node: NodeId,
}

/// All clients.
pub struct Clients {
    groups: Vec<Group>,
    clients: BTreeMap<u64, Client>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    next_number: u64,
    stopping: bool,
    rng: Rng,
    /// Operations that were answered, and those of unknown outcome.
    pub ended: (u64, u64),
}

impl Clients {
    /// The clients of a plan.
    pub fn new(plan: &Plan, rng: Rng) -> Clients {
        let mut groups = Vec::new();
        let mut clients = BTreeMap::new();
        for (group, load) in plan.workloads.iter().enumerate() {
            let workload = draw(load.seed, group, plan);
            groups.push(Group { workload, history: Vec::new(), concluding: VecDeque::new() });
            for client in 0..load.clients.min(CONCLUDER) {
                clients.insert(group as u64 * GROUP_STRIDE + client, Client::new(group));
            }
        }
        Clients {
            groups,
            clients,
            connections: BTreeMap::new(),
            next_connection: 1,
            next_number: 1,
            stopping: false,
            rng,
            ended: (0, 0),
        }
    }

    /// Their numbers.
    pub fn numbers(&self) -> Vec<u64> {
        self.clients.keys().copied().collect()
    }

    /// A client that was not answered since `forget_answers`.
    pub fn unanswered(&self) -> Option<u64> {
        self.clients.iter().find(|(_, c)| !c.answered_since_heal).map(|(number, _)| *number)
    }

    /// What was answered so far does not count any more.
    pub fn forget_answers(&mut self) {
        self.clients.values_mut().for_each(|c| c.answered_since_heal = false);
    }

    /// The groups; what is still open is lost.
    pub fn into_groups(mut self, now: Mono) -> Vec<Group> {
        for client in self.clients.values() {
            if let Some(open) = &client.open {
                self.groups[client.group].history[open.place].ended = now;
            }
        }
        self.groups
    }

    /// Whether somebody waits for an answer or has still to conclude.
    fn busy(&self) -> usize {
        let open = self.clients.values().filter(|c| c.open.is_some()).count();
        open + self.groups.iter().map(|g| g.concluding.len()).sum::<usize>()
    }
}

impl Client {
    fn new(group: usize) -> Client {
        Client {
            group,
            connections: BTreeMap::new(),
            leaders: BTreeMap::new(),
            home: BTreeMap::new(),
            open: None,
            watching: BTreeMap::new(),
            answered_since_heal: false,
        }
    }
}

impl World {
    /// Operations that were answered, and those of unknown outcome.
    pub fn operations(&self) -> (u64, u64) {
        self.clients.ended
    }

    /// Clients begin no more operations.
    pub fn stop_clients(&mut self) {
        self.clients.stopping = true;
    }

    /// Each group sends its concluding requests.
    pub fn conclude(&mut self) {
        for group in 0..self.clients.groups.len() {
            let requests = self.clients.groups[group].workload.conclusion();
            self.clients.groups[group].concluding = requests.into_iter().flat_map(split).collect();
            let client = group as u64 * GROUP_STRIDE + CONCLUDER;
            self.clients.clients.insert(client, Client::new(group));
            self.after(Duration::ZERO, Event::Client(client));
        }
    }

    /// Operations that are open, and concluding requests not answered.
    pub fn busy(&self) -> usize {
        self.clients.busy()
    }

    pub(super) fn client(&mut self, number: u64) {
        let now = self.now;
        let Clients { groups, clients, rng, stopping, .. } = &mut self.clients;
        let Some(client) = clients.get_mut(&number).filter(|c| c.open.is_none()) else { return };
        let group = &mut groups[client.group];
        let step = if number % GROUP_STRIDE == CONCLUDER {
            let Some(request) = group.concluding.front() else { return };
            Step::Send(request.clone())
        } else if *stopping {
            return;
        } else {
            group.workload.next(ClientId(number), now, rng)
        };
        match step {
            Step::Send(request) => self.send_request(number, request),
            Step::Wait(time) => self.after(time.max(Duration::from_micros(1)), Event::Client(number)),
            Step::Reconnect => {
                let connections: Vec<u64> = client.connections.values().copied().collect();
                client.home.clear();
                client.watching.clear();
                connections.into_iter().for_each(|c| self.close(c));
                self.after(Duration::from_micros(100), Event::Client(number));
            }
        }
    }

    fn send_request(&mut self, number: u64, request: Request) {
        let Some((node, connection, port)) = self.connection(number, &request) else {
            self.after(NOBODY, Event::Client(number));
            return;
        };
        let delay = Duration::from_micros(20 + self.clients.rng.below(REQUEST_US_MAX));
        if self.clients.connections.contains_key(&connection) {
            let patience = if number % GROUP_STRIDE == CONCLUDER { PATIENCE } else { self.plan.patience };
            self.begin(number, node, connection, &request, patience);
            self.after(delay, Event::Commands { node, connection, port, commands: request.commands });
        } else {
            // It broke while a WATCH stood on it: what is written there is lost.
            self.begin(number, node, connection, &request, delay);
        }
    }

    fn begin(&mut self, number: u64, node: NodeId, connection: u64, request: &Request, patience: Duration) {
        let now = self.now;
        let Clients { groups, clients, next_number, .. } = &mut self.clients;
        let Some(client) = clients.get_mut(&number) else { return };
        let history = &mut groups[client.group].history;
        let operation = *next_number;
        *next_number += 1;
        client.open = Some(Open { number: operation, place: history.len(), connection, replies: Vec::new() });
        history.push(Operation {
            client: ClientId(number),
            node: node.0,
            connection,
            request: request.clone(),
            invoked: now,
            ended: now,
            outcome: Outcome::Lost,
        });
        self.after(patience, Event::GiveUp(number, operation));
    }

    /// The connection a request goes to; its port when it is a fresh one.
    fn connection(&mut self, number: u64, request: &Request) -> Option<(NodeId, u64, Option<Port>)> {
        let living = self.living();
        let Clients { clients, connections, rng, next_connection, .. } = &mut self.clients;
        let client = clients.get_mut(&number)?;
        let namespace = request.namespace;
        if let Some((node, connection)) = client.watching.get(&namespace) {
            return Some((*node, *connection, None));
        }
        let believed = match namespace {
            Namespace::Plain => None,
            Namespace::Cluster => slot_of(request).and_then(|slot| client.leaders.get(&slot)).copied(),
        };
        let home = client.home.get(&namespace).copied();
        let node = match believed.or(home).filter(|n| living.contains(n)) {
            Some(node) => node,
            None => {
                let node = *living.get(rng.below(living.len() as u64) as usize)?;
                client.home.insert(namespace, node);
                node
            }
        };
        if let Some(connection) = client.connections.get(&(namespace, node)) {
            return Some((node, *connection, None));
        }
        let connection = *next_connection;
        *next_connection += 1;
        client.connections.insert((namespace, node), connection);
        connections.insert(connection, Connection { client: number, namespace, node });
        let port = match namespace {
            Namespace::Plain => Port::Plain,
            Namespace::Cluster => Port::Cluster,
        };
        Some((node, connection, Some(port)))
    }

    pub(super) fn replies(&mut self, connection: u64, replies: Vec<Reply>) {
        let Some(number) = self.clients.connections.get(&connection).map(|c| c.client) else { return };
        let Clients { groups, clients, .. } = &mut self.clients;
        let Some(client) = clients.get_mut(&number) else { return };
        let Some(open) = client.open.as_mut().filter(|o| o.connection == connection) else { return };
        open.replies.extend(replies);
        if open.replies.len() < groups[client.group].history[open.place].request.commands.len() {
            return;
        }
        let replies = std::mem::take(&mut open.replies);
        self.ended(number, Outcome::Answered(replies));
    }

    fn ended(&mut self, number: u64, outcome: Outcome) {
        let now = self.now;
        let Clients { groups, clients, rng, ended, .. } = &mut self.clients;
        let Some(client) = clients.get_mut(&number) else { return };
        let Some(open) = client.open.take() else { return };
        let group = &mut groups[client.group];
        let operation = &mut group.history[open.place];
        operation.ended = now;
        operation.outcome = outcome;
        group.workload.ended(operation);
        let namespace = operation.request.namespace;
        let stood = client.watching.remove(&namespace).is_some();
        let refusal = match &operation.outcome {
            Outcome::Answered(replies) => {
                if operation.request.leaves_watch(replies, stood) {
                    client.watching.insert(namespace, (NodeId(operation.node), operation.connection));
                }
                replies.iter().find_map(refusal)
            }
            Outcome::Lost => Some(Refusal::Unknown),
        };
        match refusal {
            None => {
                ended.0 += 1;
                client.answered_since_heal = true;
                if number % GROUP_STRIDE == CONCLUDER && workload::is_settled(operation) {
                    group.concluding.pop_front();
                }
            }
            Some(Refusal::Moved(slot, node)) => {
                client.leaders.insert(slot, node);
            }
            // Another node may know more.
            Some(Refusal::Refused) => {
                client.leaders.clear();
                client.home.clear();
            }
            Some(Refusal::Unknown) => {
                ended.1 += 1;
                client.leaders.clear();
            }
        }
        let pause = match refusal {
            None if number % GROUP_STRIDE == CONCLUDER => Duration::from_micros(10),
            None => Duration::from_micros(rng.range(10, THINK_US_MAX)),
            // A library that is sent to a node that takes no connections waits before it asks again.
            Some(Refusal::Moved(_, node)) if self.nodes.get(&node).is_some_and(|slot| slot.process.is_some()) => {
                Duration::from_micros(10)
            }
            Some(_) => Duration::from_millis(rng.range(1, BACK_OFF_MS_MAX)),
        };
        self.mix(number << 20 | open.place as u64);
        self.after(pause, Event::Client(number));
    }

    /// The client sees that its connection is gone.
    pub(super) fn connection_broke(&mut self, connection: u64) {
        let Some(number) = self.clients.connections.get(&connection).map(|c| c.client) else { return };
        self.forget_connection(connection);
        let waits = self.clients.clients.get(&number).and_then(|c| c.open.as_ref()).map(|o| o.connection);
        if waits == Some(connection) {
            self.ended(number, Outcome::Lost);
        }
    }

    pub(super) fn give_up(&mut self, number: u64, operation: u64) {
        let open = self.clients.clients.get(&number).and_then(|c| c.open.as_ref());
        let Some(connection) = open.filter(|o| o.number == operation).map(|o| o.connection) else { return };
        self.close(connection);
        self.ended(number, Outcome::Lost);
    }

    /// A client closes a connection.
    fn close(&mut self, connection: u64) {
        if let Some(Connection { node, .. }) = self.forget_connection(connection) {
            self.after(Duration::from_micros(100), Event::Disconnect(node, connection));
        }
    }

    fn forget_connection(&mut self, connection: u64) -> Option<Connection> {
        let known = self.clients.connections.remove(&connection)?;
        if let Some(client) = self.clients.clients.get_mut(&known.client) {
            client.connections.remove(&(known.namespace, known.node));
            client.home.remove(&known.namespace);
        }
        Some(known)
    }

    /// All clients of a node lose their connections to it. How many there were.
    pub(super) fn break_connections(&mut self, node: NodeId) -> usize {
        let theirs: Vec<u64> =
            self.clients.connections.iter().filter(|(_, c)| c.node == node).map(|(number, _)| *number).collect();
        for connection in &theirs {
            self.after(Duration::from_micros(150), Event::Broken(*connection));
            self.after(Duration::from_micros(150), Event::Disconnect(node, *connection));
        }
        theirs.len()
    }

    /// From here on it counts who is answered.
    pub(super) fn forget_answers(&mut self) {
        self.clients.forget_answers();
    }
}

/// The workload of a load.
fn draw(seed: u64, group: usize, plan: &Plan) -> Box<dyn Workload> {
    let mut rng = Rng::new(seed);
    let (name, drawn) = workload::draw(&mut rng);
    let options = Options { prefix: format!("{group}:"), clock_error: plan.clock_error(), ..drawn };
    let made = workload::by_name(name, &options, rng.next_u64());
    made.unwrap_or_else(|| panic!("the workload {name} was drawn and is not known by its name"))
}

/// A cluster client sends each command to the node that leads its slot.
fn split(request: Request) -> Vec<Request> {
    let Request { namespace, commands } = request;
    match namespace {
        Namespace::Plain => vec![Request { namespace, commands }],
        Namespace::Cluster => {
            commands.into_iter().map(|command| Request { namespace, commands: vec![command] }).collect()
        }
    }
}

/// What a client library makes of an error.
enum Refusal {
    Moved(u16, NodeId),
    Refused,
    Unknown,
}

fn refusal(reply: &Reply) -> Option<Refusal> {
    let Reply::Error(line) = reply else { return None };
    let mut words = line.split(' ');
    match words.next()? {
        "MOVED" => {
            let slot = words.next()?.parse().ok()?;
            let node = words.next()?.strip_prefix("sim")?.split(':').next()?.parse().ok()?;
            Some(Refusal::Moved(slot, NodeId(node)))
        }
        "UNKNOWNOUTCOME" => Some(Refusal::Unknown),
        "UNBLOCKED" | "TRYAGAIN" | "CLUSTERDOWN" | "BUSY" | "OOM" | "LOADING" | "EXECABORT" => Some(Refusal::Refused),
        _ => None,
    }
}

/// The slot of the first key of a request.
fn slot_of(request: &Request) -> Option<u16> {
    request.commands.iter().find_map(|words: &Vec<Bytes>| {
        let command = Command::parse(words.iter().cloned().collect()).ok()?;
        command.keys().next().map(|key| cluster::slot_of(key).0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No process runs, so only a connection that a WATCH holds is there.
    #[test]
    fn a_watch_holds_the_connection_of_its_own_namespace() {
        let mut world = World::new(Plan::draw(1));
        let number = world.clients.numbers()[0];
        let asks = |world: &mut World, namespace| {
            let found = world.connection(number, &Request::one(namespace, ["GET", "k"]));
            found.map(|(node, connection, _)| (node, connection))
        };
        let client = world.clients.clients.get_mut(&number).expect("it is one of the plan's");
        client.watching.insert(Namespace::Cluster, (NodeId(1), 7));
        assert_eq!(asks(&mut world, Namespace::Cluster), Some((NodeId(1), 7)));
        assert_eq!(asks(&mut world, Namespace::Plain), None);
    }
}
