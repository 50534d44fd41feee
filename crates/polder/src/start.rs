//! `polder start` and `polder config check`.

use crate::cli::{ConfigArgs, EXIT_FAILED, EXIT_USAGE, StartArgs, print};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use server::config::{Config, Sources};
use std::process::ExitCode;

/// Files a node has open besides its clients' sockets: log segments, engine files, peer links.
const FILES_BESIDES_CLIENTS: u64 = 1_000;

/// Runs one node until it is told to stop.
pub fn run(args: &StartArgs) -> ExitCode {
    if let Some(parent) = args.die_with_parent
        && !bind_to_parent(parent)
    {
        eprintln!("polder: the process that started this node is gone");
        return EXIT_FAILED.into();
    }
    let mut config = match load(&args.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    config.warnings.extend(raise_file_limit(config.limits.max_clients));
    match server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("polder: {error}");
            EXIT_FAILED.into()
        }
    }
}

/// Checks a configuration and says what is wrong, or what is allowed but worth knowing.
pub fn check(args: &ConfigArgs) -> ExitCode {
    let config = match load(args) {
        Ok(config) => config,
        Err(code) => return code,
    };
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    let others = config.peers.len() - 1;
    let beside = if others == 0 { "alone".to_owned() } else { format!("with {others} others") };
    let (node, cluster, data) = (config.node, &config.cluster, config.data_dir.display());
    print(&format!("The configuration is valid: node {node} of cluster {cluster}, {beside}, data in {data}.\n"));
    ExitCode::SUCCESS
}

fn load(args: &ConfigArgs) -> Result<Config, ExitCode> {
    let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let sources =
        Sources { file: args.config.clone(), environment: environment.collect(), overrides: args.overrides.clone() };
    server::config::load(&sources).map_err(|errors| {
        eprintln!("{errors}");
        EXIT_USAGE.into()
    })
}

/// Asks the kernel to kill this process with its parent. False if the parent is gone already: the request came too late.
fn bind_to_parent(parent: i32) -> bool {
    let bound = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_ok();
    bound && rustix::process::getppid().map(Pid::as_raw_nonzero).is_some_and(|pid| pid.get() == parent)
}

/// Raises the soft limit of open files to the hard one; a warning if that is too little for `max_clients`.
fn raise_file_limit(max_clients: usize) -> Option<String> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let open_max = match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let wanted = max_clients as u64 + FILES_BESIDES_CLIENTS;
    open_max.filter(|max| *max < wanted).map(|max| {
        format!("this process may open {max} files, and limits.max_clients = {max_clients} needs {wanted}: raise the limit (ulimit -Hn)")
    })
}
