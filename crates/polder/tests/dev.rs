//! The development cluster as a user meets it: the real binary, real processes, loopback.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Starting and stopping takes about a second; a loaded machine may take much longer.
const PATIENCE: Duration = Duration::from_secs(60);

struct Dev {
    process: Child,
    dir: PathBuf,
    base_port: u16,
}

impl Dev {
    fn start(dir: &Path, base_port: u16) -> Dev {
        let process = polder(dir).args(["--base-port", &base_port.to_string()]).stdout(Stdio::null()).spawn().unwrap();
        let dev = Dev { process, dir: dir.to_owned(), base_port };
        eventually("the cluster takes a write", || dev.ask(0, "SET probe 1").as_deref() == Some("+OK"));
        dev
    }

    /// The process number of node `index`, while it runs.
    fn pid(&self, index: usize) -> Option<i32> {
        let text = std::fs::read_to_string(self.dir.join("dev.json")).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        json["nodes"][index]["pid"].as_i64()?.try_into().ok()
    }

    /// Sends one inline command to node `index`; the first line of the reply, or of a bulk string its content.
    fn ask(&self, index: u16, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.base_port + index)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next()?.ok()?;
        if first.starts_with('$') && first != "$-1" { lines.next()?.ok() } else { Some(first) }
    }

    fn stop(mut self, signal: Signal) -> Option<i32> {
        send(self.process.id().try_into().unwrap(), signal);
        self.process.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // A failed test leaves no cluster behind; after a clean stop there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn polder(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder"));
    command.args(["dev", "--data"]).arg(dir);
    command
}

fn refused(dir: &Path, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = polder(dir).args(arguments).output().unwrap();
    assert_eq!(status.code(), Some(2));
    String::from_utf8(stderr).unwrap()
}

fn send(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn runs(pid: i32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for this: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A directory of this test, and a base port at which three nodes find every port free.
fn place(name: &str) -> (PathBuf, u16) {
    let dir = std::env::temp_dir().join(format!("polder-it-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    // Tests that run at the same time look in different places.
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + (std::process::id() % 90) as u16 * 10 + TAKEN.fetch_add(10, Ordering::Relaxed);
    let base = (first..13_000).step_by(10).find(|base| (0..4).all(|r| (0..3).all(|i| free(base + r * 1000 + i))));
    (dir, base.unwrap())
}

#[test]
fn a_killed_node_comes_back_and_data_outlives_a_restart() {
    let (dir, base_port) = place("restart");
    let dev = Dev::start(&dir, base_port);
    eventually("another node takes one", || dev.ask(1, "SET kept value").as_deref() == Some("+OK"));

    let killed = dev.pid(0).unwrap();
    send(killed, Signal::KILL);
    eventually("writes go on without it", || dev.ask(2, "SET during 1").as_deref() == Some("+OK"));
    eventually("it is started again", || dev.pid(0).is_some_and(|pid| pid != killed));
    eventually("it serves", || dev.ask(0, "GET kept").as_deref() == Some("value"));

    let nodes: Vec<_> = (0..3).map(|i| dev.pid(i).unwrap()).collect();
    assert_eq!(dev.stop(Signal::TERM), Some(0));
    assert!(!nodes.iter().any(|pid| runs(*pid)));
    assert!(!dir.join("dev.json").exists());

    assert!(refused(&dir, &["--nodes", "5"]).contains("holds a cluster of 3 nodes, not 5"));
    let dev = Dev::start(&dir, base_port);
    eventually("the data is there", || dev.ask(2, "GET kept").as_deref() == Some("value"));
    assert_eq!(dev.stop(Signal::INT), Some(0));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn no_node_outlives_its_supervisor() {
    let (dir, base_port) = place("orphans");
    let dev = Dev::start(&dir, base_port);
    let nodes: Vec<_> = (0..3).map(|i| dev.pid(i).unwrap()).collect();
    assert!(refused(&dir, &[]).contains("a polder dev runs in"));
    assert_eq!(dev.stop(Signal::KILL), None);
    eventually("the nodes are gone", || !nodes.iter().any(|pid| runs(*pid)));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_taken_port_is_named_with_its_owner() {
    let (dir, base_port) = place("taken");
    let _listener = TcpListener::bind(("127.0.0.1", base_port + 1)).unwrap();
    let message = refused(&dir, &["--base-port", &base_port.to_string()]);
    assert!(message.contains(&format!("{} (redis of n2)", base_port + 1)), "{message}");
    assert!(message.contains(&format!("(pid {})", std::process::id())), "{message}");
    assert!(message.contains("polder dev --base-port "), "{message}");
    std::fs::remove_dir_all(&dir).unwrap();
}
