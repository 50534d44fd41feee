//! Watches over the nodes: starts, reports and restarts them, shows how they are, stops them.

use super::DevError;
use super::child::{Death, Node};
use super::layout::Layout;
use super::probe::{Health, Probe};
use super::screen::Screen;
use super::view;
use crate::cli::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

/// How often deaths and logs are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often the live block is redrawn.
const REDRAW: Duration = Duration::from_secs(1);
/// Nodes that are asked to stop drain for up to 10 s (`timeouts.drain`); after this they are killed.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Log lines shown of a node that a signal killed.
const KILLED_LINES: usize = 2;
/// A killed process is gone in milliseconds unless the disk holds it; then it is left to the system.
const KILL_LIMIT: Duration = Duration::from_millis(500);
/// A start that takes longer is worth a hint.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// A cluster is called ready without known leaders after this, so that a status it does not understand hides nothing.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);

/// Signals that end the cluster.
struct Signals {
    interrupt: SignalStream,
    terminate: SignalStream,
    hangup: SignalStream,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => (),
            _ = self.terminate.recv() => (),
            _ = self.hangup.recv() => (),
        }
    }
}

/// The nodes and what is shown of them.
pub struct Supervisor {
    layout: Layout,
    nodes: Vec<Node>,
    probes: Vec<Probe>,
    screen: Screen,
    signals: Signals,
    begun: Instant,
    drawn: Option<Instant>,
    /// The cluster was announced as ready.
    announced: bool,
    hinted: bool,
}

impl Supervisor {
    /// Starts every node.
    pub fn begin(layout: Layout) -> Result<Supervisor, DevError> {
        let failed = |what: String| move |e: std::io::Error| DevError::failed(format!("{what}: {e}"));
        let signals = Signals::listen().map_err(failed("signals cannot be caught".into()))?;
        let executable = std::env::current_exe().map_err(failed("the own executable is not known".into()))?;
        let mut nodes = Vec::new();
        let mut probes = Vec::new();
        for plan in &layout.nodes {
            let mut node = Node::new(plan.clone(), executable.clone());
            node.start().map_err(failed(format!("n{} cannot be started", plan.id)))?;
            probes.push(Probe::begin(plan).map_err(failed("a thread cannot be started".into()))?);
            nodes.push(node);
        }
        let mut screen = Screen::new();
        screen.say(&view::greeting(&layout));
        let begun = Instant::now();
        let supervisor =
            Supervisor { layout, nodes, probes, screen, signals, begun, drawn: None, announced: false, hinted: false };
        supervisor.write_endpoints()?;
        Ok(supervisor)
    }

    /// Runs until a signal, then stops the nodes. The exit code of the process.
    pub async fn run(mut self) -> u8 {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.signals.next() => return self.stop(0).await,
                _ = tick.tick() => (),
            }
            if self.look_after_nodes() {
                return self.stop(EXIT_USAGE).await;
            }
            self.announce();
            if self.drawn.is_none_or(|at| at.elapsed() >= REDRAW) {
                self.draw();
            }
        }
    }

    /// One look at every node. True if a node refuses its configuration: trying again would not help.
    fn look_after_nodes(&mut self) -> bool {
        let mut changed = false;
        let mut refused = false;
        for i in 0..self.nodes.len() {
            self.show_log(i);
            let node = &mut self.nodes[i];
            if let Some(death) = node.reap(true) {
                changed = true;
                refused |= death.wait.is_none();
                self.report(i, &death);
            }
            let node = &mut self.nodes[i];
            match node.restart_if_due() {
                Ok(false) => (),
                Ok(true) => {
                    changed = true;
                    self.probes[i].reset();
                    let (id, pid) = (node.plan.id, node.pid().unwrap_or_default());
                    self.screen.say(&format!("n{id} started again (pid {pid})"));
                }
                Err(error) => self.screen.say(&format!("n{} cannot be started: {error}", node.plan.id)),
            }
        }
        if changed {
            self.drawn = None;
            if let Err(error) = self.write_endpoints() {
                self.screen.say(&format!("warning: {error}"));
            }
        }
        refused
    }

    fn show_log(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        let id = node.plan.id;
        for line in node.tail.poll() {
            self.screen.say(&format!("n{id} │ {line}"));
            self.drawn = None;
        }
    }

    fn report(&mut self, i: usize, death: &Death) {
        self.show_log(i);
        let node = &self.nodes[i];
        let lived = crate::table::span(death.lived);
        let next = match death.wait {
            Some(wait) => format!("it is started again in {} ms", wait.as_millis()),
            None => "its configuration is refused".to_owned(),
        };
        let mut text = format!("n{} died after {lived}: {}; {next}", node.plan.id, death.how);
        // What was killed from outside had nothing to say about it.
        let lines = if death.code.is_some() { usize::MAX } else { KILLED_LINES };
        for line in node.tail.last(lines) {
            text.push_str(&format!("\n   │ {line}"));
        }
        self.screen.say(&text);
    }

    /// Says once that the cluster is ready, and how to use it.
    fn announce(&mut self) {
        let elapsed = self.begun.elapsed();
        if self.announced {
            return;
        }
        let seen: Vec<_> = self.probes.iter().map(Probe::seen).collect();
        let ready = seen.iter().all(|s| s.health == Health::Ready);
        let led = view::cluster(&seen).is_some_and(|s| !s.shards.is_empty() && s.leaderless() == 0);
        if ready && (led || elapsed >= LEADER_PATIENCE) {
            self.announced = true;
            self.drawn = None;
            self.screen.say(&format!("Ready after {:.1} s.", elapsed.as_secs_f64()));
            if !self.screen.is_live() {
                let lines = self.lines();
                self.screen.say(&lines.join("\n"));
            }
        } else if elapsed >= START_PATIENCE && !self.hinted {
            self.hinted = true;
            let late =
                self.nodes.iter().zip(&seen).filter(|(_, seen)| seen.health != Health::Ready).map(|(node, _)| node);
            let logs: Vec<_> = late.map(|n| n.plan.log().display().to_string()).collect();
            self.screen.say(&format!("Not ready after {} s yet; see {}", START_PATIENCE.as_secs(), logs.join(", ")));
        }
    }

    fn lines(&self) -> Vec<String> {
        let seen: Vec<_> = self.probes.iter().map(Probe::seen).collect();
        view::block(&self.layout, &self.nodes, &seen, self.begun.elapsed())
    }

    fn draw(&mut self) {
        if self.screen.is_live() {
            let lines = self.lines();
            self.screen.draw(&lines);
        }
        self.drawn = Some(Instant::now());
    }

    fn write_endpoints(&self) -> Result<(), DevError> {
        let pids: Vec<_> = self.nodes.iter().map(Node::pid).collect();
        let written = self.layout.write_endpoints(&pids);
        written.map_err(|e| DevError::failed(format!("{}: dev.json cannot be written: {e}", self.layout.shown)))
    }

    /// Asks every node to stop and waits; a second signal, or the limit, kills. `code` if all of them stopped cleanly.
    async fn stop(&mut self, code: u8) -> u8 {
        self.screen.draw(&[]);
        let running = self.nodes.iter().filter(|n| n.pid().is_some()).count();
        if running > 0 {
            self.screen.say(&format!("Stopping {running} nodes; Ctrl-C again kills them."));
        }
        for node in &mut self.nodes {
            node.stay_down();
            node.signal(Signal::TERM);
        }
        let deadline = Instant::now() + STOP_LIMIT;
        let mut code = code;
        let mut tick = tokio::time::interval(TICK);
        while self.nodes.iter().any(|n| n.pid().is_some()) {
            tokio::select! {
                () = self.signals.next() => {
                    self.kill();
                    return EXIT_INTERRUPTED;
                }
                _ = tick.tick() => (),
            }
            code = code.max(self.reap_stopping());
            if Instant::now() >= deadline {
                let late: Vec<_> =
                    self.nodes.iter().filter(|n| n.pid().is_some()).map(|n| format!("n{}", n.plan.id)).collect();
                self.screen.say(&format!(
                    "{} did not stop within {} s; killed.",
                    late.join(", "),
                    STOP_LIMIT.as_secs()
                ));
                self.kill();
                return EXIT_FAILED;
            }
        }
        self.layout.remove_endpoints();
        self.screen
            .say(&format!("Stopped. The data stays in {}: the same command goes on with it.", self.layout.shown));
        code
    }

    /// Collects nodes that stopped; 1 if one of them did not do so cleanly.
    fn reap_stopping(&mut self) -> u8 {
        let mut code = 0;
        for i in 0..self.nodes.len() {
            self.show_log(i);
            if let Some(death) = self.nodes[i].reap(false).filter(|d| d.code != Some(0)) {
                self.screen.say(&format!("n{} did not stop cleanly: {}", self.nodes[i].plan.id, death.how));
                code = EXIT_FAILED;
            }
        }
        code
    }

    fn kill(&mut self) {
        for node in &self.nodes {
            node.signal(Signal::KILL);
        }
        let deadline = Instant::now() + KILL_LIMIT;
        while self.nodes.iter().any(|n| n.pid().is_some()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
            self.nodes.iter_mut().for_each(|n| drop(n.reap(false)));
        }
        self.layout.remove_endpoints();
    }
}
