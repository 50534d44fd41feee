//! What a command does and where it may run, as Redis 7.2 names it.

/// One property of a command. The order is the order in which `COMMAND INFO` lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Flag {
    /// May change data.
    Write,
    /// Reads data and never changes it.
    Readonly,
    /// May use more memory or disk, so it is refused when they are short.
    DenyOom,
    /// For operators.
    Admin,
    /// About channels.
    Pubsub,
    /// Not allowed in scripts.
    NoScript,
    /// May make the connection wait.
    Blocking,
    /// Allowed while data is being loaded.
    Loading,
    /// Allowed on a replica that lost its leader.
    Stale,
    /// Not shown by MONITOR.
    SkipMonitor,
    /// Not shown by SLOWLOG.
    SkipSlowlog,
    /// Passes to a slot that is being imported.
    Asking,
    /// Constant or logarithmic time.
    Fast,
    /// Allowed before authentication.
    NoAuth,
    /// May send data to replicas although it does not change data. Not shown to clients.
    MayReplicate,
    /// May be called without any key although it has key positions.
    NoMandatoryKeys,
    /// Needs a setting that allows it. Not shown to clients.
    Protected,
    /// Not allowed while a replica loads data in the background.
    NoAsyncLoading,
    /// Not allowed inside MULTI.
    NoMulti,
    /// Its keys are not at fixed positions; derived from the key specifications.
    MovableKeys,
    /// Allowed while a script runs for too long.
    AllowBusy,
    /// Touches keys that its words do not name. Not shown to clients.
    TouchesArbitraryKeys,
}

impl Flag {
    /// Every flag, in the order of `COMMAND INFO`.
    pub const ALL: [Flag; 22] = [
        Flag::Write,
        Flag::Readonly,
        Flag::DenyOom,
        Flag::Admin,
        Flag::Pubsub,
        Flag::NoScript,
        Flag::Blocking,
        Flag::Loading,
        Flag::Stale,
        Flag::SkipMonitor,
        Flag::SkipSlowlog,
        Flag::Asking,
        Flag::Fast,
        Flag::NoAuth,
        Flag::MayReplicate,
        Flag::NoMandatoryKeys,
        Flag::Protected,
        Flag::NoAsyncLoading,
        Flag::NoMulti,
        Flag::MovableKeys,
        Flag::AllowBusy,
        Flag::TouchesArbitraryKeys,
    ];

    /// The word clients see, or `None` for a flag that Redis keeps to itself.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Flag::Write => "write",
            Flag::Readonly => "readonly",
            Flag::DenyOom => "denyoom",
            Flag::Admin => "admin",
            Flag::Pubsub => "pubsub",
            Flag::NoScript => "noscript",
            Flag::Blocking => "blocking",
            Flag::Loading => "loading",
            Flag::Stale => "stale",
            Flag::SkipMonitor => "skip_monitor",
            Flag::SkipSlowlog => "skip_slowlog",
            Flag::Asking => "asking",
            Flag::Fast => "fast",
            Flag::NoAuth => "no_auth",
            Flag::NoMandatoryKeys => "no_mandatory_keys",
            Flag::NoAsyncLoading => "no_async_loading",
            Flag::NoMulti => "no_multi",
            Flag::MovableKeys => "movablekeys",
            Flag::AllowBusy => "allow_busy",
            Flag::MayReplicate | Flag::Protected | Flag::TouchesArbitraryKeys => return None,
        })
    }
}

/// A set of flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u32);

impl Flags {
    /// The set of `flags`.
    #[must_use]
    pub const fn of(flags: &[Flag]) -> Flags {
        let mut bits = 0;
        let mut i = 0;
        while i < flags.len() {
            bits |= 1 << flags[i] as u32;
            i += 1;
        }
        Flags(bits)
    }

    /// This set and `flag`.
    #[must_use]
    pub const fn with(self, flag: Flag) -> Flags {
        Flags(self.0 | 1 << flag as u32)
    }

    /// Whether `flag` is in the set.
    #[must_use]
    pub const fn has(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }

    /// The flags of the set, in the order of `COMMAND INFO`.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |f| self.has(*f))
    }
}
