//! One process and what a supervisor of services would know of it.

use crate::cluster::{http_address, launcher};
use crate::preload::Loaded;
use crate::tools::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a node that ended stays down before it is started again, as a supervisor of services waits.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How long a node that was told to stop may take: `timeouts.drain` is 10 s, and the disk may be slow.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Bytes of a log that are shown.
const LOG_END_BYTES: usize = 3000;

/// What a node is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It runs.
    Running,
    /// It has been stopped by a signal and does nothing.
    Paused,
    /// There is no process, and none is wanted at the moment.
    Down,
}

/// A node.
pub struct Node {
    index: usize,
    binary: PathBuf,
    directory: PathBuf,
    child: Option<Child>,
    paused: bool,
    /// When it was told to stop.
    stopping: Option<Instant>,
    /// When an excused end was seen; it will be started again.
    ended: Option<Instant>,
    /// How often it ended by itself with a fault as its excuse.
    pub ends: u64,
    /// A fault is working on it; others look for another node.
    pub touched: bool,
    /// A fault that this node may answer by ending, as on a disk that fails.
    pub excused: bool,
    /// The libraries loaded into it.
    pub preload: Loaded,
}

impl Node {
    /// A node that does not run.
    pub fn new(index: usize, binary: &Path, directory: PathBuf, preload: Loaded) -> Node {
        let binary = binary.to_path_buf();
        Node {
            index,
            binary,
            directory,
            child: None,
            paused: false,
            stopping: None,
            ended: None,
            ends: 0,
            touched: false,
            excused: false,
            preload,
        }
    }

    /// The node's number in the cluster.
    pub fn number(&self) -> usize {
        self.index + 1
    }

    /// Where it answers over HTTP.
    pub fn http(&self) -> SocketAddr {
        http_address(self.index)
    }

    /// Where its disk is mounted.
    pub fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    /// The number of its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        match (&self.child, self.paused) {
            (None, _) => State::Down,
            (Some(_), true) => State::Paused,
            (Some(_), false) => State::Running,
        }
    }

    /// Starts it; nothing when it runs.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn start(&mut self) -> Outcome {
        if self.child.is_some() {
            return Ok(());
        }
        self.ended = None;
        let log = self.directory.join("log.txt");
        let shown = |e: std::io::Error| format!("{}: {e}", log.display());
        let out = OpenOptions::new().create(true).append(true).open(&log).map_err(shown)?;
        let err = out.try_clone().map_err(shown)?;
        let words = launcher(self.index);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(self.preload.variables());
        command.arg(&self.binary).arg("start").arg("--config").arg(self.directory.join("polder.toml"));
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        self.child = Some(command.spawn().map_err(|e| format!("{}: {e}", words[0]))?);
        Ok(())
    }

    /// Sees whether it ended.
    ///
    /// # Errors
    /// It ended by itself without a fault as its excuse, or not well or not in time after it was told to stop; or it could not
    /// be started again.
    pub fn tend(&mut self) -> Outcome {
        if let Some(status) = self.exited() {
            let told = self.stopping.take().is_some();
            match (told, self.excused) {
                (true, _) if status.success() => return Ok(()),
                (true, _) => return Err(self.failed(&format!("was told to stop and ended with {status}"))),
                (false, false) => return Err(self.failed(&format!("ended by itself: {status}"))),
                (false, true) => {
                    self.ended = Some(Instant::now());
                    self.ends += 1;
                }
            }
        }
        if self.stopping.is_some_and(|since| since.elapsed() > STOP_LIMIT) {
            return Err(self.failed(&format!("did not stop within {} s of SIGTERM", STOP_LIMIT.as_secs())));
        }
        if self.ended.is_some_and(|at| at.elapsed() >= RESTART_PAUSE) {
            return self.start();
        }
        Ok(())
    }

    fn failed(&self, how: &str) -> String {
        format!("node {} {how}\n{}", self.number(), self.log_end())
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        self.paused = false;
        Some(status)
    }

    /// Sends a signal; nothing when there is no process.
    fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // It may have ended a moment ago: then there is nobody to signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// kill -9, and it stays down.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        self.paused = false;
        self.ended = None;
        self.stopping = None;
    }

    /// SIGSTOP.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
        self.paused = self.child.is_some();
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
        self.paused = false;
    }

    /// SIGTERM; `tend` sees it end.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
        self.stopping = self.child.is_some().then(Instant::now);
    }

    /// The end of what it logged.
    pub fn log_end(&self) -> String {
        let bytes = fs::read(self.directory.join("log.txt")).unwrap_or_default();
        let log = String::from_utf8_lossy(&bytes);
        let from = log.len().saturating_sub(LOG_END_BYTES);
        let from = (from..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
        log[from..].to_owned()
    }
}
