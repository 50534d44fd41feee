//! One node as a child process: start it, notice its death, wait before the next try.

use super::layout::NodePlan;
use super::tail::Tail;
use crate::cli::EXIT_USAGE;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Wait before the first restart; each further one waits twice as long.
const RESTART_DELAY_MIN: Duration = Duration::from_millis(250);
/// Longest wait before a restart.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(10);
/// A node that lived so long starts again with the shortest wait.
const LIVED_LONG: Duration = Duration::from_secs(10);

/// Variables of the environment that would make all nodes the same one.
const PER_NODE_VARIABLES: [&str; 7] = [
    "POLDER_CONFIG",
    "POLDER_NODE",
    "POLDER_CLUSTER",
    "POLDER_DATA_DIR",
    "POLDER_ZONE",
    "POLDER_LISTEN_",
    "POLDER_PEERS_",
];

/// How long to wait before the next try, by how the last ones went.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A process died after `lived`: the wait before the next one.
    pub fn after(&mut self, lived: Duration) -> Duration {
        if lived >= LIVED_LONG {
            self.failures = 0;
        }
        let delay = RESTART_DELAY_MIN.saturating_mul(1 << self.failures.min(16)).min(RESTART_DELAY_MAX);
        self.failures = self.failures.saturating_add(1);
        delay
    }
}

/// What a node's process does.
#[derive(Debug)]
enum State {
    Running {
        process: Child,
        since: Instant,
    },
    /// Dead; to be started again at this moment.
    Waiting {
        until: Instant,
    },
    /// Dead, and it stays so.
    Stopped,
}

/// A death.
#[derive(Debug)]
pub struct Death {
    /// `exit code 1`, `signal 9 (SIGKILL)`.
    pub how: String,
    /// The exit code, if it was not a signal.
    pub code: Option<i32>,
    /// How long it lived.
    pub lived: Duration,
    /// The wait before it is started again, if it is.
    pub wait: Option<Duration>,
}

/// A node of the cluster and its process.
#[derive(Debug)]
pub struct Node {
    /// Its ports and files.
    pub plan: NodePlan,
    /// Its log.
    pub tail: Tail,
    /// How often it was started again.
    pub restarts: u32,
    state: State,
    backoff: Backoff,
    executable: PathBuf,
}

impl Node {
    /// A node that is not started yet.
    pub fn new(plan: NodePlan, executable: PathBuf) -> Node {
        let tail = Tail::at_end(&plan.log());
        Node { plan, tail, restarts: 0, state: State::Stopped, backoff: Backoff::default(), executable }
    }

    /// Starts the process. Must be called from the main thread: the kernel takes the end of the starting *thread* for the
    /// death of the parent.
    pub fn start(&mut self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(self.plan.log())?;
        let mut command = Command::new(&self.executable);
        command.arg("start").arg("--config").arg(self.plan.config());
        command.arg("--die-with-parent").arg(std::process::id().to_string());
        for (name, _) in std::env::vars_os() {
            let per_node =
                |n: &str| PER_NODE_VARIABLES.iter().any(|p| if p.ends_with('_') { n.starts_with(p) } else { n == *p });
            if name.to_str().is_some_and(per_node) {
                command.env_remove(name);
            }
        }
        // A group of its own: Ctrl-C in the terminal reaches the supervisor alone, which then stops the nodes in order.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn()?;
        self.state = State::Running { process, since: Instant::now() };
        Ok(())
    }

    /// Notices a death: the node then waits for its restart, or stays down if `restart` is false or it refused its configuration.
    pub fn reap(&mut self, restart: bool) -> Option<Death> {
        let State::Running { process, since } = &mut self.state else { return None };
        let status = process.try_wait().ok()??;
        let lived = since.elapsed();
        // Whoever refuses its configuration refuses it again.
        let restart = restart && status.code() != Some(EXIT_USAGE.into());
        let wait = restart.then(|| self.backoff.after(lived));
        self.state = wait.map_or(State::Stopped, |wait| State::Waiting { until: Instant::now() + wait });
        Some(Death { how: describe(status), code: status.code(), lived, wait })
    }

    /// Starts it again when its wait is over. True if it was started.
    pub fn restart_if_due(&mut self) -> io::Result<bool> {
        match self.state {
            State::Waiting { until } if until <= Instant::now() => {
                self.restarts += 1;
                // A failure to start waits like a death.
                self.state = State::Waiting { until: Instant::now() + self.backoff.after(Duration::ZERO) };
                self.start().map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Process number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        match &self.state {
            State::Running { process, .. } => Some(process.id()),
            _ => None,
        }
    }

    /// How long it has run.
    pub fn uptime(&self) -> Option<Duration> {
        match &self.state {
            State::Running { since, .. } => Some(since.elapsed()),
            _ => None,
        }
    }

    /// Sends a signal, if the process runs.
    pub fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It is not reaped yet, so the number is still its own; a failure means that it just died.
            let _ = kill_process(pid, signal);
        }
    }

    /// Takes back a planned restart.
    pub fn stay_down(&mut self) {
        if matches!(self.state, State::Waiting { .. }) {
            self.state = State::Stopped;
        }
    }

    /// Memory in RAM, in bytes.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        resident_bytes(&status)
    }
}

/// `VmRSS` of a process status as Linux writes it.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(9)) => "signal 9 (SIGKILL: killed from outside, or out of memory)".to_owned(),
        (_, Some(signal)) => match Signal::from_named_raw(signal) {
            Some(named) => format!("signal {signal} ({named:?})"),
            None => format!("signal {signal}"),
        },
        _ => "an unknown cause".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_limit_and_a_long_life_resets_them() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..8).map(|_| backoff.after(Duration::ZERO).as_millis() as u64).collect();
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
        assert_eq!(backoff.after(LIVED_LONG), RESTART_DELAY_MIN);
    }

    #[test]
    fn deaths_are_described() {
        assert_eq!(describe(ExitStatus::from_raw(2 << 8)), "exit code 2");
        assert!(describe(ExitStatus::from_raw(9)).starts_with("signal 9 (SIGKILL"));
        assert!(describe(ExitStatus::from_raw(11)).starts_with("signal 11 ("));
    }

    #[test]
    fn reads_resident_memory() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   61440 kB\n"), Some(60 << 20));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }

    fn node(name: &str, executable: &str) -> Node {
        let dir = std::env::temp_dir().join(format!("polder-child-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let plan = NodePlan { id: 1, redis: 1, redis_cluster: 2, peer: 3, http: 4, dir };
        Node::new(plan, executable.into())
    }

    #[test]
    fn a_death_is_noticed_and_waits() {
        let mut node = node("death", "/bin/false");
        node.start().unwrap();
        let death = loop {
            if let Some(death) = node.reap(true) {
                break death;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(death.code, Some(1));
        assert_eq!(death.wait, Some(RESTART_DELAY_MIN));
        assert!(!node.restart_if_due().unwrap());
        std::thread::sleep(RESTART_DELAY_MIN);
        assert!(node.restart_if_due().unwrap());
        assert_eq!(node.restarts, 1);
        fs::remove_dir_all(&node.plan.dir).unwrap();
    }

    #[test]
    fn a_missing_executable_is_an_error() {
        let mut node = node("missing", "/nonexistent/polder");
        assert!(node.start().is_err());
        fs::remove_dir_all(&node.plan.dir).unwrap();
    }
}
