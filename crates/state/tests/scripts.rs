//! Runs every file of tests/scripts: a line is a command, the indented line after it what it must answer.
//!
//! Lines that begin with `!` steer: `advance MS` the clock, `expire` and `collect` until nothing is left, `failover`,
//! `db N`, `resp 2|3`, `watch CLIENT KEY…`, `take CLIENT`, `multi` … `exec`; `sharded` on the first line chooses the layout.
//! Each file runs at several paces of the log, which may not change any answer. `POLDER_BLESS=1` writes what happened at the first
//! pace into the files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use command::Reply;
use state::Layout;
use std::path::Path;
use stdx::Rng;
use support::{Pace, START_MS, Shard, command, integrity, text};

const PACES: [Pace; 4] = [
    Pace { group: 1, lag: 0 },
    Pace { group: 1, lag: 3 },
    Pace { group: 4, lag: 1 },
    Pace { group: usize::MAX, lag: usize::MAX },
];

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        if std::env::var_os("POLDER_BLESS").is_some() {
            let happened = play(&file, PACES[0]);
            std::fs::write(&file, happened).unwrap();
        }
        for pace in PACES {
            let (script, happened) = (std::fs::read_to_string(&file).unwrap(), play(&file, pace));
            for (at, (line, expected)) in happened.lines().zip(script.lines()).enumerate() {
                assert_eq!(line, expected, "{}:{} at {pace:?}", file.display(), at + 1);
            }
            assert_eq!(happened.len(), script.len(), "{} at {pace:?}: something says no answer", file.display());
        }
    }
}

/// The file as it would be if what happened were right.
fn play(file: &Path, pace: Pace) -> String {
    let script = std::fs::read_to_string(file).unwrap();
    let layout = if script.starts_with("!sharded") { Layout::Sharded } else { Layout::Colocated };
    let mut shard = Shard::new(layout, pace, 1);
    let mut queue: Option<Vec<command::Command>> = None;
    let mut happened = String::new();
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        happened += &format!("{line}\n");
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let answer = match line.strip_prefix('!') {
            Some(order) => steer(&mut shard, order, &mut queue),
            None => match (command(&text::words(line)), &mut queue) {
                (Ok(cmd), Some(queue)) => {
                    queue.push(cmd);
                    None
                }
                (Ok(cmd), None) => Some(text::show(&shard.run(&cmd))),
                (Err(reply), _) => Some(text::show(&reply)),
            },
        };
        let expected = lines.next_if(|l| l.starts_with("  "));
        // What steers need not say what came of it.
        if let Some(answer) = answer.filter(|_| expected.is_some() || !line.starts_with('!')) {
            happened += &format!("  {answer}\n");
        }
    }
    shard.settle();
    integrity::check(&shard.base, layout);
    while shard.collect(2).more {}
    shard.settle();
    integrity::check(&shard.base, layout);
    integrity::check_clean(&shard.base);
    happened
}

fn steer(shard: &mut Shard, order: &str, queue: &mut Option<Vec<command::Command>>) -> Option<String> {
    let words: Vec<&str> = order.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    match words[0] {
        "sharded" => None,
        "advance" => {
            shard.env.now_ms += number(1);
            None
        }
        "db" => {
            shard.env.db = number(1) as u16;
            None
        }
        "resp" => {
            shard.env.resp3 = number(1) == 3;
            None
        }
        "failover" => {
            shard.failover();
            None
        }
        "expire" => {
            let mut removed = 0;
            loop {
                let step = shard.expire(2);
                removed += step.removed;
                if step.removed == 0 {
                    return Some(removed.to_string());
                }
            }
        }
        "collect" => {
            while shard.collect(2).more {}
            None
        }
        "watch" => {
            let keys: Vec<Bytes> = words[2..].iter().map(|w| Bytes::copy_from_slice(w.as_bytes())).collect();
            Some(text::show(&shard.watch(number(1), &keys).reply))
        }
        "take" => Some(format!("{:?}", shard.take(number(1)))),
        "multi" => {
            *queue = Some(Vec::new());
            None
        }
        "exec" => Some(text::show(&shard.execute(&queue.take().unwrap()))),
        other => panic!("unknown order {other}"),
    }
}

#[test]
fn lost_proposals_leave_no_trace() {
    let mut shard = Shard::new(Layout::Colocated, Pace { group: 2, lag: usize::MAX }, 1);
    let run = |shard: &mut Shard, line: &str| text::show(&shard.run(&command(&text::words(line)).unwrap()));
    run(&mut shard, "SET kept 1");
    shard.settle();
    for line in ["FLUSHALL", "SET gone 1", "HSET h f \"x\"*2000", "PEXPIRE gone 5", "DEL kept"] {
        run(&mut shard, line);
    }
    shard.lose();
    assert_eq!(run(&mut shard, "KEYS *"), "[\"kept\"]");
    assert_eq!(run(&mut shard, "DBSIZE"), "1");
    run(&mut shard, "SET other 1");
    shard.settle();
    integrity::check(&shard.base, Layout::Colocated);
}

#[test]
fn a_reply_names_what_it_depends_on() {
    let mut shard = Shard::new(Layout::Colocated, Pace { group: 1, lag: usize::MAX }, 1);
    let cmd = |line: &str| command(&text::words(line)).unwrap();
    assert_eq!(shard.evaluate(&cmd("GET a")).observed, None);
    let set = shard.evaluate(&cmd("SETNX a 1"));
    assert!(set.effects);
    let lost = shard.evaluate(&cmd("SETNX a 2"));
    assert_eq!((lost.reply, lost.effects, lost.observed), (Reply::Integer(0), false, Some(1)));
    assert_eq!(shard.evaluate(&cmd("GET b")).observed, None);
    shard.evaluate(&cmd("DEL a"));
    assert_eq!(shard.evaluate(&cmd("GET a")).observed, Some(2));
    assert_eq!(shard.watch(1, &[Bytes::from_static(b"a")]).observed, Some(2));
    assert_eq!(shard.evaluate(&cmd("KEYS *")).observed, Some(2));
    shard.settle();
    assert_eq!(shard.evaluate(&cmd("GET a")).observed, None);
}

#[test]
fn an_expiry_waits_for_a_stamp_that_proves_it() {
    let mut shard = Shard::new(Layout::Colocated, Pace { group: 1, lag: usize::MAX }, 1);
    let get = command(&["GET", "k"]).unwrap();
    let read =
        |shard: &Shard| state::evaluate_read(&get, &shard.base, &shard.directory, shard.env, &mut Rng::new(1)).unwrap();
    shard.run(&command(&["SET", "k", "v", "PX", "10"]).unwrap());
    shard.settle();
    shard.env.proven_ms = START_MS;
    assert_eq!(read(&shard), Some(Reply::bulk(b"v")));
    shard.env.now_ms = START_MS + 11;
    assert_eq!(read(&shard), None, "another leader's clock may still be at ten");
    let led = shard.evaluate(&get);
    assert_eq!((led.reply, led.effects, led.unproven), (Reply::Null, false, true));
    shard.env.proven_ms = START_MS + 11;
    assert_eq!(read(&shard), Some(Reply::Null));
    assert!(!shard.evaluate(&get).unproven);
}

#[test]
fn one_key_changed_often_is_logged_once() {
    let mut shard = Shard::new(Layout::Colocated, Pace { group: 100, lag: usize::MAX }, 1);
    for _ in 0..100 {
        shard.run(&command(&["INCR", "n"]).unwrap());
    }
    assert_eq!(shard.last_batch().unwrap().ops.len(), 2, "the counter and the count of keys");
    shard.settle();
    assert_eq!(shard.run(&command(&["GET", "n"]).unwrap()), Reply::bulk(b"100"));
}

#[test]
fn expiry_and_garbage_go_in_bounded_steps() {
    let mut shard = Shard::new(Layout::Colocated, Pace { group: 1, lag: 0 }, 1);
    for i in 0..10 {
        shard.run(&command(&["SET", &format!("k{i}"), "v", "PX", &format!("{}", 10 + i)]).unwrap());
    }
    assert_eq!(shard.expire(3).next_due_ms, Some(support::START_MS + 10));
    shard.env.now_ms += 16;
    let step = shard.expire(4);
    assert_eq!((step.removed, step.next_due_ms), (4, Some(support::START_MS + 14)));
    let step = shard.expire(4);
    assert_eq!((step.removed, step.next_due_ms), (2, Some(support::START_MS + 16)));
    shard.run(&command(&["SET", "early", "v", "PXAT", &(support::START_MS + 17).to_string()]).unwrap());
    shard.env.now_ms += 2;
    assert_eq!(shard.expire(100).removed, 3, "16, 17 and early");
    for i in 0..50 {
        shard.run(&command(&["HSET", "h", &format!("field{i}"), &"x".repeat(100)]).unwrap());
    }
    shard.run(&command(&["DEL", "h"]).unwrap());
    let step = shard.collect(30);
    assert_eq!((step.removed, step.more), (30, true));
    assert_eq!(shard.collect(30).removed, 21, "the rest and the note itself");
    assert!(!shard.collect(30).more);
    integrity::check(&shard.base, Layout::Colocated);
    integrity::check_clean(&shard.base);
}

#[test]
fn a_stream_is_trimmed_in_one_small_step() {
    let mut shard = Shard::new(Layout::Colocated, Pace { group: 1, lag: 0 }, 1);
    let cmd = |line: &str| command(&text::words(line)).unwrap();
    let run = |shard: &mut Shard, line: &str| text::show(&shard.run(&cmd(line)));
    for n in 1..=3000 {
        run(&mut shard, &format!("XADD s {n} f v"));
    }
    run(&mut shard, "XGROUP CREATE s g 0");
    run(&mut shard, "XREADGROUP GROUP g me COUNT 1000 STREAMS s >");
    shard.pace.lag = usize::MAX;
    assert_eq!(run(&mut shard, "XTRIM s MINID 1001"), "1000");
    assert_eq!(shard.last_batch().unwrap().ops.len(), 2, "the span to delete, and the stream");
    assert_eq!(run(&mut shard, "XTRIM s MAXLEN ~ 10 LIMIT 500"), "500");
    assert_eq!(run(&mut shard, "XTRIM s MAXLEN 10"), "1490");
    assert_eq!(shard.last_batch().unwrap().ops.len(), 2);
    assert_eq!(run(&mut shard, "XRANGE s - + COUNT 1"), "[[\"2991-0\" [\"f\" \"v\"]]]");
    assert_eq!(run(&mut shard, "XDEL s 5"), "0", "what waits for deletion is gone");
    assert_eq!(run(&mut shard, "XREADGROUP GROUP g me COUNT 1 STREAMS s 0"), "[[\"s\" [[\"1-0\" nil]]]]");
    assert_eq!(run(&mut shard, "XREADGROUP GROUP g me COUNT 1 STREAMS s >"), "[[\"s\" [[\"2991-0\" [\"f\" \"v\"]]]]]");
    assert_eq!(run(&mut shard, "COPY s copied"), "1");
    assert_eq!(run(&mut shard, "XTRIM s MAXLEN 0"), "10");
    assert!(run(&mut shard, "XSETID s 5").starts_with("!TRYAGAIN "));
    assert_eq!(run(&mut shard, "XGROUP DESTROY s g"), "1");
    assert_eq!(shard.last_batch().unwrap().ops.len(), 4, "three spans and the group, however much was pending");
    shard.settle();
    integrity::check(&shard.base, Layout::Colocated);
    while shard.collect(100).more {}
    shard.settle();
    integrity::check(&shard.base, Layout::Colocated);
    integrity::check_clean(&shard.base);
    assert_eq!(run(&mut shard, "XSETID s 5"), "OK");
    assert_eq!(run(&mut shard, "XADD s 6 f w"), "\"6-0\"");
    assert_eq!(run(&mut shard, "XLEN copied"), "10");
    assert_eq!(run(&mut shard, "XPENDING copied g - + 1"), "[[\"1-0\" \"me\" 0 1]]");
    shard.settle();
    integrity::check(&shard.base, Layout::Colocated);
}

#[test]
fn a_deep_stream_costs_no_more_than_a_short_one() {
    const RECORDS_MAX: u64 = 24;
    let mut shard = Shard::new(Layout::Colocated, Pace { group: 1, lag: 0 }, 1);
    let run = |shard: &mut Shard, line: &str| text::show(&shard.run(&command(&text::words(line)).unwrap()));
    let mut depth = 0;
    for more in [1_000, 20_000] {
        shard.pace = Pace { group: 1000, lag: 0 };
        for n in depth + 1..=depth + more {
            run(&mut shard, &format!("XADD s {n} f v"));
        }
        depth += more;
        run(&mut shard, "XGROUP CREATE s g 0");
        run(&mut shard, &format!("XREADGROUP GROUP g me COUNT {} STREAMS s >", more / 2));
        shard.settle();
        shard.pace = Pace { group: 1, lag: 0 };
        let (half, now) = (depth / 2, depth + 5);
        for line in [
            format!("XADD s {now} f v"),
            format!("XADD s MAXLEN {depth} {now}-1 f v"),
            format!("XADD s MINID 3 {now}-2 f v"),
            "XLEN s".to_owned(),
            "XRANGE s - + COUNT 1".to_owned(),
            "XREVRANGE s + - COUNT 1".to_owned(),
            format!("XREAD COUNT 1 STREAMS s {half}"),
            "XREADGROUP GROUP g me COUNT 1 STREAMS s >".to_owned(),
            "XREADGROUP GROUP g you COUNT 1 STREAMS s >".to_owned(),
            "XREADGROUP GROUP g me COUNT 1 STREAMS s 0".to_owned(),
            "XACK s g 1 2 3".to_owned(),
            "XPENDING s g".to_owned(),
            "XPENDING s g - + 1 you".to_owned(),
            "XAUTOCLAIM s g you 0 0 COUNT 1".to_owned(),
            "XCLAIM s g you 0 10".to_owned(),
            "XINFO STREAM s".to_owned(),
            "XINFO GROUPS s".to_owned(),
            "XINFO CONSUMERS s g".to_owned(),
            "XDEL s 4".to_owned(),
            "XGROUP DESTROY s g".to_owned(),
        ] {
            let before = support::LOOKED_AT.get();
            let answer = run(&mut shard, &line);
            let looked_at = support::LOOKED_AT.get() - before;
            assert!(!answer.starts_with('!'), "{line}: {answer}");
            assert!(looked_at <= RECORDS_MAX, "{line} looked at {looked_at} records among {depth} entries");
        }
        run(&mut shard, "XTRIM s MAXLEN 0");
        while shard.collect(100_000).more {}
        depth += 10;
    }
}
