//! Which ports are taken, and by whom as far as the system tells.

use super::layout::{Layout, NodePlan};
use crate::cli::DEV_DATA;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

/// For how long a port without a visible owner is expected to become free. A process that was killed is a zombie as soon as
/// its first thread has ended, and cannot be looked into any more; its sockets stay open until the last one has.
const DYING: Duration = Duration::from_secs(3);

/// A port that somebody else listens on.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    pub port: u16,
    /// What the port was meant for.
    pub purpose: String,
    /// Name and number of the process, if it could be found out.
    pub owner: Option<String>,
}

/// Every port of the cluster that is taken, and not just by a process that is ending: those are waited for.
pub fn taken_for_good(nodes: &[NodePlan]) -> Vec<Taken> {
    let deadline = Instant::now() + DYING;
    loop {
        let taken = taken(nodes);
        let freed_soon = !taken.is_empty() && taken.iter().all(|t| t.owner.is_none());
        if !freed_soon || Instant::now() >= deadline {
            return taken;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Every port of the cluster that is taken now.
fn taken(nodes: &[NodePlan]) -> Vec<Taken> {
    let mut found = Vec::new();
    for node in nodes {
        for (purpose, port) in node.ports() {
            if !is_free(port) {
                found.push(Taken { port, purpose: format!("{purpose} of n{}", node.id), owner: owner(port) });
            }
        }
    }
    found
}

/// The message about taken ports, with the remedy.
pub fn explain(layout: &Layout, taken: &[Taken]) -> String {
    let mut text = String::from("ports of the development cluster are taken:");
    for t in taken {
        let owner = t.owner.as_deref().unwrap_or("a process that cannot be seen from here");
        text.push_str(&format!("\n      {:<5} ({}) by {owner}", t.port, t.purpose));
    }
    let remedy = match free_base(layout) {
        // The nodes of a cluster that has data know each other by their ports.
        Some(base) if layout.has_data => {
            format!("start another cluster: polder dev --base-port {base} --data {}-{base}", layout.shown)
        }
        Some(base) if layout.shown == DEV_DATA => format!("use other ports: polder dev --base-port {base}"),
        Some(base) => format!("use other ports: polder dev --base-port {base} --data {}", layout.shown),
        None => "use other ports with --base-port".to_owned(),
    };
    text.push_str(&format!("\n    stop what runs there, or {remedy}"));
    text
}

/// A base port at which every port of the cluster is free.
fn free_base(layout: &Layout) -> Option<u16> {
    let offsets: Vec<u16> = layout.nodes.iter().flat_map(|n| n.ports()).map(|(_, p)| p - layout.base_port()).collect();
    let candidates = [16_379, 26_379, 36_379, 46_379, 56_379];
    candidates.into_iter().find(|base| *base != layout.base_port() && offsets.iter().all(|o| is_free(base + o)))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Who listens on a port: the socket's inode from the kernel's table, then the process that has it open.
fn owner(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|table| listening_inode(&table, port))?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().filter(|n| n.bytes().all(|b| b.is_ascii_digit())) else { continue };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        if files.flatten().any(|f| fs::read_link(f.path()).is_ok_and(|l| l.as_os_str() == wanted.as_str())) {
            let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", command.trim()));
        }
    }
    None
}

/// The inode of the socket listening on `port` in a table of the form of `/proc/net/tcp`.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    /// The state TCP_LISTEN, as the table writes it.
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (_, hex) = fields.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(hex, 16).ok()? == port && *fields.get(3)? == LISTEN;
        if matches { fields.get(9)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_listener_in_the_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             \x20  0: 0100007F:18EB 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0 20 4 30 10 -1\n\
             \x20  1: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0\n";
        assert_eq!(listening_inode(table, 6379), Some(222));
        assert_eq!(listening_inode(table, 6380), None);
    }

    #[test]
    fn a_taken_port_names_its_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let me = format!("(pid {})", std::process::id());
        assert!(owner(port).is_some_and(|o| o.contains(&me)));
        let node = NodePlan { id: 1, redis: port, redis_cluster: 0, peer: 0, http: 0, dir: Default::default() };
        let taken = taken(&[node]);
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].purpose, "redis of n1");
    }
}
