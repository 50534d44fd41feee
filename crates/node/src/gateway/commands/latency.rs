//! LATENCY and its subcommands.

use super::{error, text, word};
use crate::gateway::context::Context;
use crate::gateway::session::Session;
use bytes::Bytes;
use command::{Command, Reply, Spec, lookup, specs};

impl Session {
    /// Carries out a subcommand.
    pub(super) fn latency(&mut self, command: &Command, cx: Context<'_>) -> Reply {
        let (args, events, now_s) = (&command.args[2..], &cx.gateway.latency, cx.wall.0 / 1000);
        let number = |n: u64| Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        match command.spec.name {
            "latency|latest" => {
                let rows = events.all().into_iter().filter_map(|(name, series)| {
                    let latest = series.latest()?;
                    let (at, took, longest) = (latest.at_s, latest.took_ms, series.longest_ms);
                    Some(Reply::Array(vec![text(name), number(at), number(took), number(longest)]))
                });
                Reply::Array(rows.collect())
            }
            "latency|history" => {
                let rows = events.history(&args[0]).into_iter();
                Reply::Array(rows.map(|s| Reply::Array(vec![number(s.at_s), number(s.took_ms)])).collect())
            }
            "latency|graph" => match events.graph(&args[0], now_s) {
                Some(graph) => Reply::Verbatim(*b"txt", graph.into()),
                None => error(format!("ERR No samples available for event '{}'", word(&args[0]))),
            },
            "latency|doctor" => {
                Reply::Verbatim(*b"txt", events.report(cx.gateway.settings.latency_threshold_ms()).into())
            }
            "latency|reset" => Reply::Integer(events.reset(args) as i64),
            _ => {
                self.tally.flush(&cx.gateway.stats, cx.gateway.settings.tracks_latency());
                histogram(args, cx)
            }
        }
    }
}

/// Of the commands named, of all subcommands of a container that is named, or of every command.
fn histogram(names: &[Bytes], cx: Context<'_>) -> Reply {
    let chosen: Vec<&'static Spec> = match names {
        [] => specs().iter().collect(),
        names => names.iter().filter_map(|name| lookup(name)).flat_map(|s| s.subcommands().iter().chain([s])).collect(),
    };
    let rows = chosen.into_iter().filter_map(|spec| {
        let times = cx.gateway.stats.times(spec)?;
        let steps = times.powers().into_iter().map(|(us, n)| (Reply::Integer(us as i64), Reply::Integer(n as i64)));
        let row = vec![
            (text("calls"), Reply::Integer(times.count() as i64)),
            (text("histogram_usec"), Reply::Map(steps.collect())),
        ];
        Some((text(spec.name), Reply::Map(row)))
    });
    Reply::Map(rows.collect())
}
