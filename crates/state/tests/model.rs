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
    prop_oneof![8 => strings, 6 => bits(), 2 => counts(), 10 => keys, 8 => hashes, 16 => lists(), 10 => sets(), 16 => sorted_sets(), 24 => streams(), 1 => words!("FLUSHDB"), 1 => words!("FLUSHALL")]
}

fn counts() -> impl Strategy<Value = Words> {
    // Keys of their own: what the bytes of a count are is not the model's affair.
    let count = || (0..3u8).prop_map(|n| word(format!("count{n}")));
    let element = || (0..200u8).prop_map(word);
    prop_oneof![
        3 => words!("PFADD", count(), some(element())),
        2 => words!("PFCOUNT", some(count())),
        1 => words!("PFMERGE", count(), some(count())),
        1 => words!("DEL", count()),
    ]
}

fn bits() -> impl Strategy<Value = Words> {
    let string = || prop_oneof![1 => key(), 4 => (0..2u8).prop_map(|n| word(format!("bits{n}")))];
    let offset = || prop_oneof![4 => (0..40u16).prop_map(word), 1 => (0..20_000u16).prop_map(word)];
    let bit = || (0..2u8).prop_map(word);
    let unit = || select(vec!["BYTE", "BIT"]).prop_map(word);
    let operation = || select(vec!["AND", "OR", "XOR"]).prop_map(word);
    prop_oneof![
        4 => words!("SETBIT", string(), offset(), bit()),
        1 => words!("GETBIT", string(), offset()),
        1 => words!("BITCOUNT", string()),
        2 => words!("BITCOUNT", string(), small(), small(), unit()),
        1 => words!("BITPOS", string(), bit()),
        2 => words!("BITPOS", string(), bit(), small(), small(), unit()),
        2 => words!("BITOP", operation(), string(), some(string())),
        1 => words!("BITOP", Just(word("NOT")), string(), string()),
    ]
}

/// Mostly a key of its own type, so that most commands find what they are for.
fn key_of(kind: &'static str) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => key(), 8 => (0..2u8).prop_map(move |n| word(format!("{kind}{n}")))]
}

fn lists() -> impl Strategy<Value = Words> {
    let list = || key_of("list");
    let end = || select(vec!["LEFT", "RIGHT"]).prop_map(word);
    let count = || (0..5u8).prop_map(word);
    let near = || (-12..12i64).prop_map(word);
    let element = || prop_oneof![3 => (0..4u8).prop_map(word), 1 => value()];
    let options = select(vec!["", "", "RANK 2", "RANK -1 COUNT 0", "COUNT 2", "COUNT 0 MAXLEN 5", "RANK -2 MAXLEN 4"]);
    let options = options.prop_map(|o| o.split_whitespace().map(word).collect::<Words>());
    let place = select(vec!["BEFORE", "AFTER"]).prop_map(word);
    prop_oneof![
        4 => words!("RPUSH", list(), some(element())),
        4 => words!("LPUSH", list(), some(element())),
        1 => words!("LPUSHX", list(), element()),
        1 => words!("RPUSHX", list(), element()),
        2 => words!("LPOP", list()),
        1 => words!("LPOP", list(), count()),
        2 => words!("RPOP", list()),
        1 => words!("RPOP", list(), count()),
        1 => words!("LLEN", list()),
        2 => words!("LINDEX", list(), near()),
        3 => words!("LRANGE", list(), near(), near()),
        1 => words!("LTRIM", list(), near(), near()),
        2 => words!("LSET", list(), near(), element()),
        3 => words!("LINSERT", list(), place, element(), element()),
        3 => words!("LREM", list(), near(), element()),
        2 => words!("LPOS", list(), element(), options),
        2 => words!("LMOVE", list(), list(), end(), end()),
        1 => words!("RPOPLPUSH", list(), list()),
        1 => words!("LMPOP", Just(word(2)), list(), list(), end(), Just(word("COUNT")), (1..4u8).prop_map(word)),
    ]
}

fn sets() -> impl Strategy<Value = Words> {
    let set = || key_of("set");
    let member = || prop_oneof![4 => (0..6u8).prop_map(word), 1 => value()];
    let limit = select(vec!["", "LIMIT 0", "LIMIT 2"]).prop_map(|o| o.split_whitespace().map(word).collect::<Words>());
    prop_oneof![
        6 => words!("SADD", set(), some(member())),
        3 => words!("SREM", set(), some(member())),
        2 => words!("SMOVE", set(), set(), member()),
        1 => words!("SCARD", set()),
        1 => words!("SISMEMBER", set(), member()),
        1 => words!("SMISMEMBER", set(), some(member())),
        2 => words!("SMEMBERS", set()),
        3 => words!("SPOP", set(), (0..4u8).prop_map(word)),
        2 => words!("SINTER", some(set())),
        2 => words!("SUNION", some(set())),
        2 => words!("SDIFF", some(set())),
        1 => words!("SINTERSTORE", set(), some(set())),
        1 => words!("SUNIONSTORE", set(), some(set())),
        1 => words!("SDIFFSTORE", set(), some(set())),
        1 => words!("SINTERCARD", Just(word(2)), set(), set(), limit),
    ]
}

fn sorted_sets() -> impl Strategy<Value = Words> {
    let set = || key_of("zset");
    let operand = || prop_oneof![2 => set().boxed(), 1 => key_of("set").boxed()];
    let member = || prop_oneof![6 => (0..8u8).prop_map(|n| word(format!("m{n}"))), 1 => (300..500usize).prop_map(|n| vec![b'm'; n])];
    let score = || prop_oneof![6 => (-4..5i8).prop_map(word), 1 => Just(word("inf")), 1 => Just(word("-inf")), 1 => Just(word("0.25"))];
    let bound = || (score(), any::<bool>()).prop_map(|(s, open)| if open { [b"(".to_vec(), s].concat() } else { s });
    let near = || (-6..7i64).prop_map(word);
    let many = |options: &[&'static str]| {
        select(options.to_vec()).prop_map(|o| o.split_whitespace().map(word).collect::<Words>())
    };
    let pairs = prop::collection::vec((score(), member()), 1..4);
    let pairs = pairs.prop_map(|p| p.into_iter().flat_map(|(s, m)| [s, m]).collect::<Words>());
    let scores = || many(&["", "WITHSCORES"]);
    prop_oneof![
        8 => words!("ZADD", set(), many(&["", "", "", "NX", "XX", "GT", "LT", "CH", "XX CH", "GT CH"]), pairs),
        1 => words!("ZADD", set(), many(&["INCR", "NX INCR", "XX INCR", "GT INCR"]), score(), member()),
        2 => words!("ZINCRBY", set(), score(), member()),
        3 => words!("ZREM", set(), some(member())),
        1 => words!("ZCARD", set()),
        1 => words!("ZSCORE", set(), member()),
        1 => words!("ZMSCORE", set(), some(member())),
        2 => words!("ZRANK", set(), member()),
        1 => words!("ZREVRANK", set(), member()),
        2 => words!("ZCOUNT", set(), bound(), bound()),
        3 => words!("ZRANGE", set(), near(), near(), many(&["", "REV", "WITHSCORES", "REV WITHSCORES"])),
        3 => words!("ZRANGE", set(), bound(), bound(), Just(word("BYSCORE")),
            many(&["", "REV", "WITHSCORES", "LIMIT 1 2", "REV LIMIT 2 2", "LIMIT 0 -1 WITHSCORES", "LIMIT -1 3"])),
        1 => words!("ZRANGESTORE", set(), set(), bound(), bound(), Just(word("BYSCORE"))),
        1 => words!("ZREMRANGEBYRANK", set(), near(), near()),
        1 => words!("ZREMRANGEBYSCORE", set(), bound(), bound()),
        2 => words!("ZPOPMIN", set(), many(&["", "0", "2", "9"])),
        2 => words!("ZPOPMAX", set(), many(&["", "1", "3"])),
        2 => words!("ZUNION", Just(word(2)), operand(), operand(), many(&["", "AGGREGATE MIN", "AGGREGATE MAX"]), scores()),
        2 => words!("ZINTER", Just(word(2)), operand(), operand(), many(&["", "AGGREGATE MAX", "AGGREGATE MIN"]), scores()),
        1 => words!("ZDIFF", Just(word(2)), operand(), operand(), scores()),
        1 => words!("ZUNIONSTORE", set(), Just(word(2)), operand(), operand(), many(&["AGGREGATE MIN", "WEIGHTS 1 1 AGGREGATE MAX"])),
        1 => words!("ZINTERSTORE", set(), Just(word(2)), operand(), operand(), many(&["AGGREGATE MIN", "AGGREGATE MAX"])),
        1 => words!("ZDIFFSTORE", set(), Just(word(2)), operand(), operand()),
        1 => words!("ZINTERCARD", Just(word(2)), operand(), operand()),
    ]
}

fn streams() -> impl Strategy<Value = Words> {
    let stream = || key_of("stream");
    let id = || (0..30u64, 0..3u64).prop_map(|(ms, seq)| word(format!("{ms}-{seq}")));
    let new_id = prop_oneof![
        4 => (0..40u64).prop_map(|ms| word(format!("{ms}-*"))),
        1 => id(),
        1 => (START_MS..START_MS + 30).prop_map(|ms| word(format!("{ms}-*"))),
        1 => Just(word("*")),
    ];
    let end = || prop_oneof![2 => Just(word("-")), 2 => Just(word("+")), 2 => id(), 1 => (0..30u64).prop_map(word)];
    let count = || (1..4u8).prop_map(word);
    let trim = || {
        prop_oneof![
            (0..6u8).prop_map(|n| vec![word("MAXLEN"), word(n)]),
            (0..30u8).prop_map(|n| vec![word("MINID"), word(n)]),
        ]
    };
    let maybe_trim = prop_oneof![4 => Just(Vec::new()), 1 => trim()];
    let group = || select(vec!["g", "g", "g", "other"]).prop_map(word);
    let consumer = || select(vec!["me", "you", "they"]).prop_map(word);
    let many = |options: &[&'static str]| {
        select(options.to_vec()).prop_map(|o| o.split_whitespace().map(word).collect::<Words>())
    };
    let last = || prop_oneof![2 => Just(word("0")), 1 => Just(word("$")), 1 => id()];
    let fixed = |words: &'static str| Just(words.split_whitespace().map(word).collect::<Words>());
    let read_from = || prop_oneof![4 => Just(word(">")), 1 => Just(word("0")), 1 => id()];
    let idle = || select(vec!["0", "0", "3", "10"]).prop_map(word);
    prop_oneof![
        12 => words!("XADD", stream(), maybe_trim, new_id, pairs(field())),
        1 => words!("XLEN", stream()),
        2 => words!("XRANGE", stream(), end(), end(), fixed("COUNT"), count()),
        1 => words!("XREVRANGE", stream(), end(), end()),
        3 => words!("XDEL", stream(), some(id())),
        1 => words!("XTRIM", stream(), trim()),
        2 => words!("XREAD", fixed("COUNT"), count(), fixed("STREAMS"), stream(), id()),
        3 => words!("XGROUP", fixed("CREATE"), stream(), group(), last(), many(&["", "MKSTREAM"])),
        1 => words!("XGROUP", fixed("SETID"), stream(), group(), last()),
        1 => words!("XGROUP", fixed("DESTROY"), stream(), group()),
        1 => words!("XGROUP", fixed("CREATECONSUMER"), stream(), group(), consumer()),
        1 => words!("XGROUP", fixed("DELCONSUMER"), stream(), group(), consumer()),
        8 => words!("XREADGROUP", fixed("GROUP"), group(), consumer(), fixed("COUNT"), count(), many(&["", "", "NOACK"]), fixed("STREAMS"), stream(), read_from()),
        3 => words!("XACK", stream(), group(), some(id())),
        2 => words!("XPENDING", stream(), group()),
        2 => words!("XPENDING", stream(), group(), end(), end(), count(), many(&["", "me", "nobody"])),
        3 => words!("XCLAIM", stream(), group(), consumer(), idle(), some(id()), many(&["", "", "FORCE", "JUSTID"])),
        3 => words!("XAUTOCLAIM", stream(), group(), consumer(), idle(), id(), fixed("COUNT"), count()),
    ]
}

/// More members than a block holds, in and out in every order: ranks stay those of a sorted vector.
#[test]
fn ranks_of_a_large_sorted_set_are_exact() {
    let mut shard = Shard::new(Layout::Colocated, Pace { group: 7, lag: 2 }, 5);
    let mut rng = stdx::Rng::new(11);
    let mut sorted: Vec<(i64, String)> = Vec::new();
    let run = |shard: &mut Shard, line: String| shard.run(&command(&line.split(' ').collect::<Vec<_>>()).unwrap());
    for round in 0..6000u64 {
        // Grows from both ends and the middle, then shrinks.
        if round < 4000 || rng.one_in(4) {
            let score = rng.below(2000) as i64 - 1000 + if rng.one_in(3) { round as i64 } else { 0 };
            sorted.push((score, format!("m{round}")));
            assert_eq!(run(&mut shard, format!("ZADD big {score} m{round}")), Reply::Integer(1));
        } else {
            let (_, member) = sorted.swap_remove(rng.below(sorted.len() as u64) as usize);
            assert_eq!(run(&mut shard, format!("ZREM big {member}")), Reply::Integer(1));
        }
        if round % 97 == 0 {
            sorted.sort();
            let at = rng.below(sorted.len() as u64) as usize;
            let (score, member) = sorted[at].clone();
            assert_eq!(run(&mut shard, format!("ZRANK big {member}")), Reply::Integer(at as i64));
            assert_eq!(
                run(&mut shard, format!("ZRANGE big {at} {at}")),
                Reply::Array(vec![Reply::bulk(member.as_bytes())])
            );
            let below = sorted.iter().filter(|(s, _)| *s < score).count();
            assert_eq!(run(&mut shard, format!("ZCOUNT big -inf ({score}")), Reply::Integer(below as i64));
            let from_end =
                sorted.iter().rev().filter(|(s, _)| *s <= score).nth(2).map(|(_, m)| Reply::bulk(m.as_bytes()));
            let found = run(&mut shard, format!("ZREVRANGEBYSCORE big {score} -inf LIMIT 2 1"));
            assert_eq!(found, Reply::Array(from_end.into_iter().collect()));
        }
    }
    shard.settle();
    integrity::check(&shard.base, Layout::Colocated);
    let all = sorted.len() as i64;
    assert_eq!(run(&mut shard, format!("ZREMRANGEBYRANK big 1 {}", all - 2)), Reply::Integer(all - 2));
    shard.settle();
    integrity::check(&shard.base, Layout::Colocated);
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => run().prop_map(Step::Run),
        6 => prop::collection::vec(run().prop_filter("by chance", |w| w[0] != b"SPOP"), 0..5).prop_map(Step::Exec),
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
        Step::Run(words) if words[0] == b"SPOP" => pop(shard, model, words),
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

/// Chance decides what SPOP takes: whatever it was, it was there, each once, and is gone.
fn pop(shard: &mut Shard, model: &mut Model, words: &Words) {
    let [_, key, count] = words.as_slice() else { panic!("SPOP has a key and a count") };
    let held = model.run(&[word("SCARD"), key.clone()]);
    let answer = shard.run(&command(words).unwrap());
    let Reply::Integer(held) = held else { return assert_eq!(answer, held) };
    let Reply::Set(taken) = answer else { panic!("{answer:?} is not a set") };
    let wanted: usize = String::from_utf8(count.clone()).unwrap().parse().unwrap();
    assert_eq!(taken.len(), wanted.min(held as usize), "{}", show(words));
    if !taken.is_empty() {
        let members = taken.iter().map(|m| if let Reply::Bulk(b) = m { b.to_vec() } else { panic!("{m:?}") });
        let remove: Words = [word("SREM"), key.clone()].into_iter().chain(members).collect();
        assert_eq!(model.run(&remove), Reply::Integer(taken.len() as i64), "{}", show(words));
    }
}

fn walk(shard: &mut Shard, model: &mut Model, count: usize) {
    model.run(&[word("EXISTS")]);
    let mut keys = step_through(shard, &[b"SCAN"], count);
    keys.sort();
    assert_eq!(keys, model.keys());
    for key in &keys {
        let kind = model.run(&[word("TYPE"), key.clone()]);
        if kind == Reply::Simple("set".into()) {
            let found = step_through(shard, &[b"SSCAN", key], count);
            let members = found.iter().map(|m| Reply::bulk(m)).collect();
            assert_eq!(sorted(Reply::Set(members)), model.run(&[word("SMEMBERS"), key.clone()]));
        }
        if kind == Reply::Simple("zset".into()) {
            let mut found = step_through(shard, &[b"ZSCAN", key], count);
            let mut members: Words = found.drain(..).step_by(2).collect();
            let listed = model.run(&[word("ZRANGE"), key.clone(), word(0), word(-1)]);
            let Reply::Array(mut listed) = listed else { panic!("a range is an array") };
            listed.sort_by_key(|m| format!("{m:?}"));
            members.sort();
            assert_eq!(members.iter().map(|m| Reply::bulk(m)).collect::<Vec<_>>(), listed);
        }
        if kind != Reply::Simple("hash".into()) {
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
        Reply::Set(mut items) => {
            items.sort_by(|a, b| match (a, b) {
                (Reply::Bulk(a), Reply::Bulk(b)) => a.cmp(b),
                _ => panic!("members are strings"),
            });
            Reply::Set(items)
        }
        other => other,
    }
}

fn show(words: &[Vec<u8>]) -> String {
    words.iter().map(|w| w.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}
