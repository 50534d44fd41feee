//! The command line.

use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;

/// Something failed while running; the message says what.
pub const EXIT_FAILED: u8 = 1;
/// A mistake in the command line or the configuration; nothing was started.
pub const EXIT_USAGE: u8 = 2;
/// `status`: the node answers, but a shard has no leader.
pub const EXIT_NO_LEADER: u8 = 3;
/// `dev`: a second Ctrl-C cut the clean stop short (128 + SIGINT, as shells count).
pub const EXIT_INTERRUPTED: u8 = 130;

/// Nodes a development cluster may have: their port ranges must not touch.
pub const DEV_NODES_MAX: u8 = 9;
/// Highest base port whose four ranges still fit below 65,536.
const BASE_PORT_MAX: i64 = 65_535 - 3_000 - DEV_NODES_MAX as i64;

/// The version, with the commit where the build was told it (`POLDER_GIT_HASH=… cargo build`); a tarball needs no git.
static VERSION: LazyLock<String> = LazyLock::new(|| match option_env!("POLDER_GIT_HASH") {
    Some(hash) => format!("{} (git {hash})", env!("CARGO_PKG_VERSION")),
    None => env!("CARGO_PKG_VERSION").to_owned(),
});

/// A replicated, durable cluster behind the Redis protocol: acknowledged means safe.
#[derive(Parser, Debug)]
#[command(name = "polder", version = VERSION.as_str(), after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "Without a command: polder dev.

Exit codes: 0 done, or stopped cleanly · 1 failed while running · 2 mistake in the command line or the configuration, nothing
was started · 3 status: a shard has no leader · 130 dev: a second Ctrl-C cut the clean stop short";

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a cluster on this machine, one process per node, for development (the default)
    Dev(DevArgs),
    /// Run one node
    Start(StartArgs),
    /// Ask a node how the cluster is
    Status(StatusArgs),
    /// Run simulated clusters with faults and check what their clients saw
    Sim(SimArgs),
    /// Check a configuration, or print the defaults
    #[command(subcommand)]
    Config(ConfigCommand),
}

impl Default for Command {
    fn default() -> Command {
        Command::Dev(DevArgs {
            nodes: None,
            fresh: false,
            data: PathBuf::from(DEV_DATA),
            base_port: None,
            shards: None,
        })
    }
}

/// Where a development cluster lives unless told otherwise.
pub const DEV_DATA: &str = "./polder-data";

#[derive(Args, Debug)]
pub struct DevArgs {
    /// How many nodes [default: 3, or as many as the data directory has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=DEV_NODES_MAX as i64))]
    pub nodes: Option<u8>,
    /// Delete the data of an earlier development cluster first
    #[arg(long)]
    pub fresh: bool,
    /// Where configuration, data and logs of the nodes go
    #[arg(long, value_name = "DIR", default_value = DEV_DATA)]
    pub data: PathBuf,
    /// Redis port of the first node; node i adds i, the Redis Cluster ports begin 1000 higher, peers 2000, HTTP 3000
    /// [default: 6379, or as the data directory was created with]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=BASE_PORT_MAX))]
    pub base_port: Option<u16>,
    /// Shards behind the Redis Cluster ports [default: 16, or as the data directory was created with]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(server::config::SHARDS_MAX)))]
    pub shards: Option<u16>,
}

#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// The TOML file; without one, the defaults and the environment
    #[arg(long, value_name = "FILE", env = "POLDER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Override a setting, such as --set raft.tick=20ms (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub overrides: Vec<(String, String)>,
}

#[derive(Args, Debug)]
pub struct StartArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Die when the process with this number, which must be the parent, dies
    #[arg(long, value_name = "PID", hide = true)]
    pub die_with_parent: Option<i32>,
}

#[derive(Args, Debug)]
pub struct StatusArgs {
    /// HTTP address of any node
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9379")]
    pub http: String,
    /// Print the node's JSON as it is
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct SimArgs {
    /// Replay the history of this seed (decimal, or hexadecimal after 0x) and tell the story of its failure
    #[arg(long, value_name = "SEED", value_parser = seed, conflicts_with_all = ["first", "seeds", "seconds"])]
    pub seed: Option<u64>,
    /// The first seed of a batch [default: a fresh one]
    #[arg(long, value_name = "SEED", value_parser = seed)]
    pub first: Option<u64>,
    /// How many seeds
    #[arg(long, value_name = "N", required_unless_present_any = ["seed", "seconds", "regressions", "speed"])]
    pub seeds: Option<u64>,
    /// Begin no further seed after so many seconds
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Run so many seeds at a time, each in a thread of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Go on with the other seeds when one fails
    #[arg(long)]
    pub keep_going: bool,
    /// Run each seed twice: both histories must be the same
    #[arg(long, conflicts_with_all = ["seed", "regressions", "speed"])]
    pub twice: bool,
    /// Replay the seeds that once failed (crates/sim/seeds.txt)
    #[arg(long, conflicts_with_all = ["seed", "first", "seeds"])]
    pub regressions: bool,
    /// Measure how fast a cluster under load, without faults, is simulated
    #[arg(long, conflicts_with_all = ["seed", "seeds", "seconds", "regressions"])]
    pub speed: bool,
    /// Nodes of the cluster of --speed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: u8,
}

fn seed(text: &str) -> Result<u64, String> {
    sim::parse_seed(text).ok_or_else(|| format!("{text:?} is neither a decimal number nor a hexadecimal one after 0x"))
}

#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Report every mistake of a configuration at once; start nothing
    Check(ConfigArgs),
    /// Print a file with every setting, its default and its meaning
    PrintDefault,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("write KEY=VALUE, such as raft.tick=20ms".to_owned()),
    }
}

/// Writes to standard output; a reader that went away (`polder … | head`) is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, String> {
        let words = std::iter::once("polder").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.command.unwrap_or_default()).map_err(|e| e.to_string())
    }

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_arguments_is_dev() {
        let Ok(Command::Dev(args)) = parse("") else { panic!("not dev") };
        let Ok(Command::Dev(explicit)) = parse("dev") else { panic!("not dev") };
        assert_eq!(format!("{args:?}"), format!("{explicit:?}"));
        assert_eq!(args.data, PathBuf::from("./polder-data"));
    }

    #[test]
    fn dev_takes_its_flags_within_limits() {
        let Ok(Command::Dev(args)) = parse("dev --nodes 5 --fresh --data /tmp/x --base-port 16379") else {
            panic!("not dev")
        };
        assert_eq!((args.nodes, args.fresh, args.base_port), (Some(5), true, Some(16379)));
        assert!(parse("dev --nodes 0").is_err());
        assert!(parse("dev --nodes 10").is_err());
        assert!(parse("dev --base-port 65000").is_err());
    }

    #[test]
    fn start_collects_overrides_in_order() {
        let Ok(Command::Start(args)) = parse("start --config p.toml --set raft.tick=20ms --set node=2") else {
            panic!("not start")
        };
        let expected = [("raft.tick", "20ms"), ("node", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(args.config.overrides, expected);
        assert!(parse("start --set node").unwrap_err().contains("KEY=VALUE"));
    }

    #[test]
    fn config_and_status_parse() {
        assert!(matches!(parse("config check --config x"), Ok(Command::Config(ConfigCommand::Check(_)))));
        assert!(matches!(parse("config print-default"), Ok(Command::Config(ConfigCommand::PrintDefault))));
        assert!(matches!(parse("status --http 127.0.0.1:1"), Ok(Command::Status(StatusArgs { .. }))));
        assert!(parse("stauts").is_err());
    }
}
