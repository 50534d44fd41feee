//! What the tests and benchmarks need beyond the workspace, and how it is got: Debian packages, a Python environment, the
//! tests of Redis. What a machine refuses is remembered with its reason, and the parts that need it are skipped loudly.

use crate::shell::{self, Outcome, command, execute, is_installed, root, runs};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something a part may need.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    /// redis-server, redis-cli, redis-benchmark.
    Redis,
    /// etcd.
    Etcd,
    /// tclsh.
    Tcl,
    /// UnicodeData.txt.
    UnicodeData,
    /// Python 3.11 or newer.
    Python,
    /// A Python environment with `tests/requirements.txt`.
    PythonClients,
    /// The tests of Redis 7.0, from Debian's source package.
    RedisSource,
    /// The release build of `polder`.
    Binary,
    /// The example with the Rust crate `redis`.
    RustClient,
    /// The load generator.
    Load,
    /// Root, and network namespaces of our own; with it come the packages of single faults, as far as they can be had.
    Namespaces,
    /// The tests of real processes under faults.
    Nemesis,
}

const UNICODE_DATA: &str = "/usr/share/unicode/UnicodeData.txt";
/// Where the source package of Redis 7.0.15 comes from; the machine's own list may have binaries only.
const SOURCES: &str = "deb-src http://deb.debian.org/debian bookworm main\n\
                       deb-src http://deb.debian.org/debian-security bookworm-security main\n";
/// What some faults need: a file, and the package that it comes from.
const FAULT_PACKAGES: [(&str, &str); 3] = [
    ("/usr/sbin/nft", "nftables"),
    ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "libfaketime"),
    ("/usr/bin/fiu-ctrl", "fiu-utils"),
];
const REDIS_TREE: &str = "redis-7.0.15";

/// What was tried, with the outcome.
#[derive(Default)]
pub struct Setup {
    tried: BTreeMap<Need, Result<(), String>>,
    package_lists_are_fresh: bool,
}

impl Setup {
    /// Makes the need available if it is not; the error is the reason why the machine refused.
    pub fn provide(&mut self, need: Need) -> Outcome {
        if let Some(known) = self.tried.get(&need) {
            return known.clone();
        }
        let done = self.try_provide(need);
        self.tried.insert(need, done.clone());
        done
    }

    fn try_provide(&mut self, need: Need) -> Outcome {
        match need {
            Need::Redis => {
                self.programs(&["redis-server", "redis-cli", "redis-benchmark"], &["redis-server", "redis-tools"])
            }
            Need::Etcd => self.programs(&["etcd"], &["etcd-server"]),
            Need::Tcl => self.programs(&["tclsh"], &["tcl"]),
            Need::UnicodeData => self.files(&[UNICODE_DATA], &["unicode-data"]),
            Need::Python => find_python().map(drop),
            Need::PythonClients => python_clients(),
            Need::RedisSource => redis_source(),
            Need::Binary => execute(&mut shell::cargo("build --release --package polder")),
            // Selected so that it shares what was built for the tests of the workspace.
            Need::RustClient => execute(&mut shell::cargo("build --workspace --bin rust-client")),
            Need::Load => execute(&mut shell::cargo("build --release --package load")),
            Need::Namespaces => self.namespaces(),
            // Alone it would have other features of the crates that both use, and all would be built twice.
            Need::Nemesis => execute(&mut shell::cargo("build --release --package polder --package nemesis")),
        }
    }

    fn namespaces(&mut self) -> Outcome {
        if !is_root() {
            return Err("network namespaces and small disks need root".to_owned());
        }
        self.programs(&["ip", "tc", "nsenter", "setpriv", "mount"], &["iproute2", "util-linux", "mount"])?;
        // Without one of these, `nemesis` names the faults that did not run; the others do.
        for (file, package) in FAULT_PACKAGES {
            if let Err(error) = self.files(&[file], &[package]) {
                println!("{package}: {error}");
            }
        }
        let (space, disk) = ("polder-nem-probe", cache().join("nemesis-probe"));
        fs::create_dir_all(&disk).map_err(|e| format!("{}: {e}", disk.display()))?;
        let disk = disk.display().to_string();
        execute(&mut command("ip", ["netns", "add", space]))?;
        execute(&mut command("ip", ["netns", "delete", space]))?;
        execute(&mut command("mount", ["-t", "tmpfs", "-o", "size=1m", "polder-nem", &disk]))?;
        execute(&mut command("umount", [&disk]))
    }

    fn programs(&mut self, programs: &[&str], packages: &[&str]) -> Outcome {
        if programs.iter().all(|program| is_installed(program)) {
            return Ok(());
        }
        self.install(packages)
    }

    fn files(&mut self, files: &[&str], packages: &[&str]) -> Outcome {
        if files.iter().all(|file| Path::new(file).is_file()) {
            return Ok(());
        }
        self.install(packages)
    }

    fn install(&mut self, packages: &[&str]) -> Outcome {
        let shown = packages.join(" ");
        if !is_installed("apt-get") {
            return Err(format!("not a Debian machine: install {shown} by the means of this one"));
        }
        if !is_root() {
            return Err(format!("needs root: run `apt-get install {shown}` once"));
        }
        if !self.package_lists_are_fresh {
            execute(command("apt-get", ["update", "-qq"]).stdout(Stdio::null()))?;
            self.package_lists_are_fresh = true;
        }
        let words = ["install", "-y", "-qq", "--no-install-recommends"].into_iter().chain(packages.iter().copied());
        let mut install = command("apt-get", words);
        // RUNLEVEL=1: the packages' own services must not start.
        execute(install.env("RUNLEVEL", "1").env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()))
    }
}

/// Where downloads and environments are kept.
pub fn cache() -> PathBuf {
    root().join(".cache")
}

/// The Python that runs the tests: the environment with the clients when it is there, else the machine's.
pub fn python(needs: &[Need]) -> OsString {
    if needs.contains(&Need::PythonClients) {
        return environment_python().into_os_string();
    }
    find_python().unwrap_or_else(|_| "python3".to_owned()).into()
}

/// What the tests are told about where things are.
pub fn variables() -> Vec<(&'static str, PathBuf)> {
    let target = target();
    vec![
        ("PYTHONPATH", root().join("tests")),
        ("E2E_BIN", target.join("release/polder")),
        ("E2E_RUST_CLIENT", target.join("debug/rust-client")),
        ("E2E_LOAD", target.join("release/load")),
        ("E2E_REDIS_SOURCE", cache().join("redis-source").join(REDIS_TREE)),
        ("E2E_UNICODE_DATA", UNICODE_DATA.into()),
    ]
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

fn is_root() -> bool {
    let done = Command::new("id").arg("-u").output();
    done.is_ok_and(|done| done.stdout.trim_ascii() == b"0")
}

fn find_python() -> Outcome<String> {
    const MODERN: &str = "import sys; sys.exit(sys.version_info < (3, 11))";
    let names = ["python3", "python3.14", "python3.13", "python3.12", "python3.11"];
    let modern = |name: &&str| {
        let done = Command::new(name).args(["-c", MODERN]).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
    };
    names
        .iter()
        .find(|name| modern(name))
        .map(|name| (*name).to_owned())
        .ok_or_else(|| "needs Python 3.11 or newer".to_owned())
}

fn environment_python() -> PathBuf {
    cache().join("venv/bin/python")
}

fn python_clients() -> Outcome {
    let wanted = root().join("tests/requirements.txt");
    let wanted = fs::read_to_string(&wanted).map_err(|e| format!("{}: {e}", wanted.display()))?;
    let stamp = cache().join("venv/requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    let folder = cache().join("venv").into_os_string();
    execute(&mut command(&find_python()?, [OsString::from("-m"), "venv".into(), "--clear".into(), folder]))?;
    let python = environment_python().display().to_string();
    execute(&mut command(
        &python,
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "tests/requirements.txt"],
    ))?;
    fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))
}

fn redis_source() -> Outcome {
    let folder = cache().join("redis-source");
    if folder.join(REDIS_TREE).join("tests/test_helper.tcl").is_file() {
        return Ok(());
    }
    if !runs("apt-get", "--version") {
        return Err("the tests of Redis come from Debian's source package, and there is no apt-get".to_owned());
    }
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    fs::create_dir_all(folder.join("lists/partial")).map_err(failed)?;
    fs::write(folder.join("sources.list"), SOURCES).map_err(failed)?;
    let at = folder.display();
    let apt = |words: &[&str]| {
        let options = [
            format!("Dir::Etc::sourcelist={at}/sources.list"),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={at}/lists"),
        ];
        let mut apt = command("apt-get", options.iter().flat_map(|option| ["-o", option]));
        apt.args(words).current_dir(&folder).stdout(Stdio::null());
        execute(&mut apt)
    };
    apt(&["update", "-qq"])?;
    apt(&["source", "-qq", "--download-only", "redis"])?;
    execute(command("tar", ["xzf", "redis_7.0.15.orig.tar.gz"]).current_dir(&folder))
}
