//! Random commands, at random paces of the log, against the reference model; replicas and bookkeeping are checked too.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use command::Reply;
use proptest::prelude::*;
use proptest::sample::select;
use state::Layout;
use support::model::Model;
use support::{Pace, START_MS, Shard, command, integrity};

type Words = Vec<Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Run(Words),
    Exec(Vec<Words>),
    /// Walk all keys with SCAN and this COUNT, and each hash with HSCAN.
    Walk(usize),
    Advance(u64),
    Settle,
    Failover,
    Expire(usize),
    Collect(usize),
}

fn word(text: impl ToString) -> Vec<u8> {
    text.to_string().into_bytes()
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    select(vec!["a", "b", "c", "{a}1", "{a}2"]).prop_map(word)
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    (0..8u8).prop_map(|n| word(format!("f{n}")))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (-20..20i64).prop_map(word),
        1 => Just(word(i64::MAX - 3)),
        1 => Just(word("text")),
        1 => Just(Vec::new()),
        2 => (200..600usize).prop_map(|n| vec![b'x'; n]),
    ]
}

fn small() -> impl Strategy<Value = Vec<u8>> {
    (-12..12i64).prop_map(word)
}

fn db() -> impl Strategy<Value = Vec<u8>> {
    (0..2u8).prop_map(word)
}

/// A command: its name, then words drawn from the strategies.
macro_rules! words {
    ($name:literal $(, $part:expr)*) => {
        words!(@ vec![word($name)] $(, $part)*)
    };
    (@ $so_far:expr $(, $part:expr)*) => {{
        let parts: Vec<BoxedStrategy<Words>> = vec![$($part.prop_map(many).boxed()),*];
        let start: Words = $so_far;
        parts.prop_map(move |parts| start.iter().cloned().chain(parts.into_iter().flatten()).collect::<Words>()).boxed()
    }};
}

/// One word, or several.
trait Many {
    fn many(self) -> Words;
}

impl Many for Vec<u8> {
    fn many(self) -> Words {
        vec![self]
    }
}

impl Many for Words {
    fn many(self) -> Words {
        self
    }
}

fn many(part: impl Many) -> Words {
    part.many()
}

fn some(of: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Words> {
    prop::collection::vec(of, 1..4)
}

fn pairs(key: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Words> {
    prop::collection::vec((key, value()), 1..4).prop_map(|p| p.into_iter().flat_map(|(k, v)| [k, v]).collect())
}

fn set_options() -> impl Strategy<Value = Words> {
    let options = ["", "", "", "NX", "XX", "GET", "NX GET", "KEEPTTL", "XX KEEPTTL GET", "PX 5", "PX 1000", "PX 7 GET"];
    select(options.to_vec()).prop_map(|o| o.split_whitespace().map(word).collect())
}

fn run() -> impl Strategy<Value = Words> {
    let condition = || {
        select(vec!["", "", "", "NX", "XX", "GT", "LT"]).prop_map(|o| o.split_whitespace().map(word).collect::<Words>())
    };
    let replace = || select(vec!["", "REPLACE"]).prop_map(|o| o.split_whitespace().map(word).collect::<Words>());
    let strings = prop_oneof![
        words!("SET", key(), value(), set_options()),
        words!("GET", key()),
        words!("GETDEL", key()),
        words!("APPEND", key(), value()),
        words!("SETRANGE", key(), (0..30u8).prop_map(word), value()),
        words!("GETRANGE", key(), small(), small()),
        words!("STRLEN", key()),
        words!("INCRBY", key(), small()),
        words!("MSET", pairs(key())),
        words!("MSETNX", pairs(key())),
        words!("MGET", some(key())),
    ];
    let keys = prop_oneof![
        words!("DEL", some(key())),
        words!("EXISTS", some(key())),
        words!("TYPE", key()),
        words!("PTTL", key()),
        words!("PERSIST", key()),
        words!("PEXPIRE", key(), small(), condition()),
        words!("RENAME", key(), key()),
        words!("RENAMENX", key(), key()),
        words!("COPY", key(), key(), Just(word("DB")), db(), replace()),
        words!("MOVE", key(), db()),
        words!("SELECT", db()),
    ];
    let hashes = prop_oneof![
        3 => words!("HSET", key(), pairs(field())),
        1 => words!("HSETNX", key(), field(), value()),
        2 => words!("HDEL", key(), some(field())),
        1 => words!("HINCRBY", key(), field(), small()),
        1 => words!("HGET", key(), field()),
        1 => words!("HLEN", key()),
        2 => words!("HGETALL", key()),
    ];
    prop_oneof![10 => strings, 10 => keys, 10 => hashes, 1 => words!("FLUSHDB"), 1 => words!("FLUSHALL")]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => run().prop_map(Step::Run),
        6 => prop::collection::vec(run(), 0..5).prop_map(Step::Exec),
        4 => (1..4usize).prop_map(Step::Walk),
        8 => (1..8u64).prop_map(Step::Advance),
        3 => Just(Step::Settle),
        1 => Just(Step::Failover),
        3 => (1..4usize).prop_map(Step::Expire),
        3 => (1..4usize).prop_map(Step::Collect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_evaluator_answers_like_the_model(
        steps in prop::collection::vec(step(), 1..120),
        group in 1..6usize,
        lag in 0..4usize,
        seed in any::<u64>(),
    ) {
        let mut shard = Shard::new(Layout::Colocated, Pace { group, lag }, seed);
        let mut model = Model::at(START_MS as i64);
        for step in &steps {
            play(&mut shard, &mut model, step);
        }
        finish(&mut shard, &mut model);
    }
}

fn play(shard: &mut Shard, model: &mut Model, step: &Step) {
    match step {
        Step::Run(words) => {
            let expected = model.run(words);
            let answer = sorted(shard.run(&command(words).unwrap()));
            assert_eq!(answer, expected, "{}", show(words));
            shard.env.db = model.db as u16;
        }
        Step::Exec(all) => {
            let db = model.db;
            let expected: Vec<Reply> = all.iter().map(|words| model.run(words)).collect();
            model.db = db;
            let commands: Vec<_> = all.iter().map(|words| command(words).unwrap()).collect();
            let Reply::Array(answers) = shard.execute(&commands) else { panic!("EXEC answers an array") };
            assert_eq!(answers.into_iter().map(sorted).collect::<Vec<_>>(), expected);
        }
        Step::Walk(count) => walk(shard, model, *count),
        Step::Advance(ms) => {
            shard.env.now_ms += ms;
            model.now += *ms as i64;
        }
        Step::Settle => {
            shard.settle();
            integrity::check(&shard.base, Layout::Colocated);
        }
        Step::Failover => shard.failover(),
        Step::Expire(max) => drop(shard.expire(*max)),
        Step::Collect(max) => drop(shard.collect(*max)),
    }
}

fn walk(shard: &mut Shard, model: &mut Model, count: usize) {
    model.run(&[word("EXISTS")]);
    let mut keys = step_through(shard, &[b"SCAN"], count);
    keys.sort();
    assert_eq!(keys, model.keys());
    for key in &keys {
        if model.run(&[word("TYPE"), key.clone()]) != Reply::Simple("hash".into()) {
            continue;
        }
        let Reply::Map(expected) = model.run(&[word("HGETALL"), key.clone()]) else { panic!("a hash is a map") };
        let found = step_through(shard, &[b"HSCAN", key], count);
        let pairs = found.chunks(2).map(|p| (Reply::bulk(&p[0]), Reply::bulk(&p[1]))).collect();
        assert_eq!(sorted(Reply::Map(pairs)), Reply::Map(expected));
    }
}

/// All elements that a cursor passes.
fn step_through(shard: &mut Shard, start: &[&[u8]], count: usize) -> Words {
    let mut cursor = word(0);
    let mut found = Vec::new();
    loop {
        let mut words: Words = start.iter().map(|w| w.to_vec()).collect();
        words.extend([cursor, word("COUNT"), word(count)]);
        let Reply::Array(mut reply) = shard.run(&command(&words).unwrap()) else { panic!("a scan answers an array") };
        let (Some(Reply::Array(elements)), Some(Reply::Bulk(next))) = (reply.pop(), reply.pop()) else {
            panic!("a cursor and elements")
        };
        found.extend(elements.into_iter().map(|e| match e {
            Reply::Bulk(b) => b.to_vec(),
            other => panic!("{other:?} is not an element"),
        }));
        if next == "0" {
            return found;
        }
        cursor = next.to_vec();
    }
}

/// Everything due is deleted, all garbage is gone, and only living keys are left.
fn finish(shard: &mut Shard, model: &mut Model) {
    shard.settle();
    integrity::check(&shard.base, Layout::Colocated);
    shard.failover();
    while shard.expire(3).removed > 0 {}
    while shard.collect(3).more {}
    shard.settle();
    integrity::check(&shard.base, Layout::Colocated);
    integrity::check_clean(&shard.base);
    for db in 0..2 {
        (model.db, shard.env.db) = (db, db as u16);
        let size = shard.run(&command(&["DBSIZE"]).unwrap());
        assert_eq!(size, model.run(&[word("DBSIZE")]), "expired keys are gone, so the count is what is seen");
        walk(shard, model, 2);
    }
}

fn sorted(reply: Reply) -> Reply {
    match reply {
        Reply::Map(mut pairs) => {
            pairs.sort_by_key(|p| format!("{p:?}"));
            Reply::Map(pairs)
        }
        other => other,
    }
}

fn show(words: &[Vec<u8>]) -> String {
    words.iter().map(|w| w.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}
