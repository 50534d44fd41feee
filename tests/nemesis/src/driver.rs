//! Runs workloads with threads and sockets and writes down what happened.

use crate::connection::{Client, Ended};
use command::Reply;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use stdx::{Mono, Rng};
use workload::{ClientId, Fate, Operation, Outcome, Request, Step, Violation, Workload, fate};

/// How long clients wait for an answer, in turns: some give up early, so that the outcome is unknown although the node would
/// have told; some wait longer than the five seconds that a node gives a command.
const ANSWER_LIMITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_millis(5500)];

/// Longest pause that a workload may ask for at once.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// How long a client that reaches no node, or was refused by one, waits before it tries again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How long the conclusion may take for each request: the cluster is whole.
const CONCLUSION_LIMIT: Duration = Duration::from_secs(20);

/// The clock of a run: its histories and its faults are told in it.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub fn new() -> Clock {
        Clock(Instant::now())
    }

    /// Time since its beginning.
    pub fn now(self) -> Mono {
        Mono(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A workload and its history, in the order in which operations were sent.
pub struct Subject {
    /// The workload.
    pub workload: Box<dyn Workload>,
    /// What its clients did.
    pub history: Vec<Operation>,
}

/// Workloads that run.
pub struct Driver {
    subjects: Vec<Arc<Mutex<Subject>>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    clock: Clock,
    nodes: usize,
}

impl Driver {
    /// Starts `clients` clients for each workload.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(
        workloads: Vec<Box<dyn Workload>>,
        nodes: usize,
        clients: u32,
        clock: Clock,
        rng: &mut Rng,
    ) -> Result<Driver, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let subject = |workload| Arc::new(Mutex::new(Subject { workload, history: Vec::new() }));
        let subjects: Vec<_> = workloads.into_iter().map(subject).collect();
        let mut driver = Driver { subjects, threads: Vec::new(), stop, clock, nodes };
        for subject in &driver.subjects {
            for number in 0..clients {
                let worker = Worker {
                    client: Client::new(nodes, usize::try_from(number).unwrap_or_default()),
                    id: ClientId(u64::from(number)),
                    subject: Arc::clone(subject),
                    stop: Arc::clone(&driver.stop),
                    clock,
                    rng: rng.fork(),
                };
                let named = std::thread::Builder::new().name(format!("client-{number}"));
                driver.threads.push(named.spawn(move || worker.run()).map_err(|e| e.to_string())?);
            }
        }
        Ok(driver)
    }

    /// Operations that ended so far.
    pub fn operations(&self) -> usize {
        self.subjects.iter().map(|subject| lock(subject).history.len()).sum()
    }

    /// Ends all clients; each finishes its request.
    ///
    /// # Errors
    /// A client panicked.
    pub fn stop(&mut self) -> Result<(), String> {
        self.stop.store(true, Ordering::Relaxed);
        let ended: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        if ended.iter().any(Result::is_err) { Err("a client thread panicked".to_owned()) } else { Ok(()) }
    }

    /// Sends what concludes the histories, each request until it is answered.
    ///
    /// # Errors
    /// One was not, although the cluster is whole.
    pub fn conclude(&self) -> Result<(), String> {
        for subject in &self.subjects {
            let mut subject = lock(subject);
            let mut client = Client::new(self.nodes, 0);
            for request in subject.workload.conclusion() {
                let operation = self.conclude_one(&mut client, request)?;
                subject.workload.ended(&operation);
                subject.history.push(operation);
            }
        }
        Ok(())
    }

    /// One operation made of commands that were each sent until they ran: those of one request may live on several nodes.
    fn conclude_one(&self, client: &mut Client, request: Request) -> Result<Operation, String> {
        let invoked = self.clock.now();
        let deadline = Instant::now() + CONCLUSION_LIMIT;
        let mut replies = Vec::with_capacity(request.commands.len());
        let mut at = (0, 0);
        for words in &request.commands {
            let alone = Request { namespace: request.namespace, commands: vec![words.clone()] };
            loop {
                let Ended { outcome, node, connection } = client.send(&alone, Instant::now() + ANSWER_LIMITS[0]);
                at = (node, connection);
                match outcome {
                    Outcome::Answered(reply) if reply.iter().all(|r| fate(r) == Fate::Done) => {
                        replies.extend(reply);
                        break;
                    }
                    other if Instant::now() >= deadline => {
                        return Err(format!("a healed cluster does not answer {alone:?}: {other:?}"));
                    }
                    _ => {}
                }
                client.reconnect();
                std::thread::sleep(RETRY_PAUSE);
            }
        }
        let (node, connection) = at;
        let (client, ended, outcome) = (ClientId(u64::MAX), self.clock.now(), Outcome::Answered(replies));
        Ok(Operation { client, node, connection, request, invoked, ended, outcome })
    }

    /// The workloads with their histories, once all clients have stopped.
    pub fn finish(self) -> Vec<Subject> {
        let owned = |subject: Arc<Mutex<Subject>>| {
            Arc::into_inner(subject).map(|s| s.into_inner().unwrap_or_else(PoisonError::into_inner))
        };
        self.subjects.into_iter().filter_map(owned).collect()
    }
}

impl Subject {
    /// Lets the workload judge its history.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn check(&self) -> Result<(), Violation> {
        self.workload.check(&self.history)
    }
}

fn lock(subject: &Mutex<Subject>) -> MutexGuard<'_, Subject> {
    // A panicking client has broken its workload: `stop` says so, and the histories are still worth reading.
    subject.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One client.
struct Worker {
    client: Client,
    id: ClientId,
    subject: Arc<Mutex<Subject>>,
    stop: Arc<AtomicBool>,
    clock: Clock,
    rng: Rng,
}

impl Worker {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            if !self.client.connect() {
                std::thread::sleep(RETRY_PAUSE);
                continue;
            }
            let (step, place) = self.draw();
            match (step, place) {
                (Step::Send(request), Some(place)) => self.send(&request, place),
                (Step::Reconnect, _) => self.client.reconnect(),
                (Step::Wait(time), _) => std::thread::sleep(time.min(WAIT_MAX)),
                (Step::Send(_), None) => {}
            }
        }
    }

    /// What to do next; a request gets its place in the history before it is sent, with an unknown outcome.
    fn draw(&mut self) -> (Step, Option<usize>) {
        let mut subject = lock(&self.subject);
        let now = self.clock.now();
        let step = subject.workload.next(self.id, now, &mut self.rng);
        let Step::Send(request) = &step else { return (step, None) };
        let place = subject.history.len();
        subject.history.push(Operation {
            client: self.id,
            node: 0,
            connection: 0,
            request: request.clone(),
            invoked: now,
            ended: now,
            outcome: Outcome::Lost,
        });
        (step, Some(place))
    }

    fn send(&mut self, request: &Request, place: usize) {
        let limit = ANSWER_LIMITS[usize::try_from(self.id.0).unwrap_or_default() % ANSWER_LIMITS.len()];
        let ended = self.client.send(request, Instant::now() + limit);
        let now = self.clock.now();
        let refused = |replies: &[Reply]| replies.iter().any(|reply| fate(reply) == Fate::Refused);
        let pause = matches!(&ended.outcome, Outcome::Answered(replies) if refused(replies));
        let mut subject = lock(&self.subject);
        let Subject { workload, history } = &mut *subject;
        let operation = &mut history[place];
        (operation.node, operation.connection, operation.outcome) = (ended.node, ended.connection, ended.outcome);
        operation.ended = now;
        workload.ended(operation);
        drop(subject);
        if pause {
            std::thread::sleep(RETRY_PAUSE);
        }
    }
}
