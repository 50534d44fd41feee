//! Odd commands, with words in places where they do not belong, against a running Redis: same replies, same errors.
//!
//! Set POLDER_REDIS_ADDR (such as 127.0.0.1:6379) to a Redis 7 whose data may be deleted. Without it nothing runs.
//! POLDER_REDIS_COMMANDS says how many commands, POLDER_REDIS_PREFIX what the names of those that run begin with.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking and says when it does not run")]

mod support;

use command::Reply;
use state::Layout;
use std::time::{SystemTime, UNIX_EPOCH};
use stdx::Rng;
use support::peer::Peer;
use support::{Pace, Shard, command, integrity, text};

/// Commands and what their words usually are: `k`ey, `f`ield, `v`alue, `n`umber, `o`ption, `t`ime, key of `a` list,
/// a `s`et or a `z`set, something `b`rief, `w`here, `r`ange of scores, member as `x`; of bits an `i`ndex, a `u`nit, how to
/// combine them as `q`, what is done with an integer as `c` and its t`y`pe, and the words `O`VERFLOW and what it is as `p`; keys of
/// approximate counts as `P` and a question about one as `g`; keys of `G`eographic sets, `L`ongitudes and latitudes, a `d`istance and its `U`nit, the words
/// `F`ROMLONLAT, FROM`M`EMBER, BY`R`ADIUS, `B`YBOX, `S`TORE, and what a search is `A`sked besides; what SORT sor`T`s, its `m`odes, the words B`Y`, `Z` for GET, L`I`MIT with `N`umbers,
/// STORE as `D`, and patterns as `W`; keys of streams as `X`, entry I`D`s as `J`, ends of ranges as `E`, where a read begins as `V`, the words STREAMS as `j`,
/// COUNT as `K`, MAXLEN and MINID as `h` with `=` as `Q`, any option as `H`, those of XSETID as `l`, words of XINFO as `C`, `9`, `0`;
/// groups as `1` and consumers as `2`, subcommands of XGROUP and their options as `!@#%&+`, GROUP as `3`, IDLE as `4`, options of XCLAIM as `5` and `6`, where a group reads as `7`, milliseconds as `8`.
const SHAPES: &[(&str, &str)] = &[
    ("GET", "k"),
    ("SET", "kv"),
    ("SET", "kvo"),
    ("SET", "kvot"),
    ("SET", "kvoot"),
    ("SET", "kvooto"),
    ("SETEX", "ktv"),
    ("PSETEX", "ktv"),
    ("SETNX", "kv"),
    ("GETSET", "kv"),
    ("GETDEL", "k"),
    ("GETEX", "ko"),
    ("GETEX", "kot"),
    ("GETEX", "koot"),
    ("MSET", "kvkv"),
    ("MSETNX", "kvkv"),
    ("MGET", "kkk"),
    ("APPEND", "kv"),
    ("STRLEN", "k"),
    ("SETRANGE", "knv"),
    ("GETRANGE", "knn"),
    ("SUBSTR", "knn"),
    ("SETBIT", "kni"),
    ("SETBIT", "kii"),
    ("GETBIT", "kn"),
    ("BITCOUNT", "k"),
    ("BITCOUNT", "knnu"),
    ("BITCOUNT", "kiiu"),
    ("BITPOS", "ki"),
    ("BITPOS", "kin"),
    ("BITPOS", "kiii"),
    ("BITPOS", "kiiiu"),
    ("BITOP", "qkkk"),
    ("BITOP", "qkk"),
    ("BITFIELD", "kcyi"),
    ("BITFIELD", "kcyincyin"),
    ("BITFIELD", "kOpcyincyin"),
    ("BITFIELD", "kcyinOpcyincyinn"),
    ("BITFIELD_RO", "kcyicyi"),
    ("PFADD", "Pvvv"),
    ("PFADD", "P"),
    ("PFADD", "Pnff"),
    ("PFCOUNT", "P"),
    ("PFCOUNT", "PPP"),
    ("PFMERGE", "PPP"),
    ("PFMERGE", "P"),
    ("PFDEBUG", "gP"),
    ("GEOADD", "GLLb"),
    ("GEOADD", "GLLbLLv"),
    ("GEOADD", "GoLLb"),
    ("GEODIST", "Gbb"),
    ("GEODIST", "GbbU"),
    ("GEOHASH", "Gbb"),
    ("GEOPOS", "Gbb"),
    ("GEOSEARCH", "GFLLRdUA"),
    ("GEOSEARCH", "GFLLBddUA"),
    ("GEOSEARCH", "GFLLBddUAAiA"),
    ("GEOSEARCH", "GMbRdUA"),
    ("GEOSEARCHSTORE", "GGFLLRdUA"),
    ("GEOSEARCHSTORE", "GGFLLBddUA"),
    ("GEORADIUS", "GLLdUA"),
    ("GEORADIUS", "GLLdUASG"),
    ("GEORADIUS_RO", "GLLdUAA"),
    ("GEORADIUSBYMEMBER", "GbdUA"),
    ("GEORADIUSBYMEMBER_RO", "GbdUAAi"),
    ("SORT", "T"),
    ("SORT", "Tm"),
    ("SORT", "TmINN"),
    ("SORT", "TYWmm"),
    ("SORT", "TmYWZW"),
    ("SORT", "TmZWZW"),
    ("SORT", "TYWINNm"),
    ("SORT", "TmDa"),
    ("SORT", "TmZWDa"),
    ("SORT_RO", "TmDa"),
    ("SORT_RO", "TYWINN"),
    ("SWAPDB", "nn"),
    ("INCR", "k"),
    ("DECR", "k"),
    ("INCRBY", "kn"),
    ("DECRBY", "kn"),
    ("INCRBYFLOAT", "kn"),
    ("LCS", "kk"),
    ("LCS", "kkoon"),
    ("LCS", "kko"),
    ("DEL", "kk"),
    ("UNLINK", "k"),
    ("EXISTS", "kkk"),
    ("TOUCH", "kk"),
    ("TYPE", "k"),
    ("EXPIRE", "kt"),
    ("EXPIRE", "kto"),
    ("PEXPIRE", "ktoo"),
    ("EXPIREAT", "kto"),
    ("PEXPIREAT", "kt"),
    ("TTL", "k"),
    ("PTTL", "k"),
    ("EXPIRETIME", "k"),
    ("PEXPIRETIME", "k"),
    ("PERSIST", "k"),
    ("RENAME", "kk"),
    ("RENAMENX", "kk"),
    ("COPY", "kk"),
    ("COPY", "kkono"),
    ("COPY", "kkon"),
    ("MOVE", "kn"),
    ("OBJECT", "ek"),
    ("SCAN", "n"),
    ("SCAN", "non"),
    ("SCAN", "nonov"),
    ("KEYS", "v"),
    ("FLUSHDB", "o"),
    ("LPUSH", "ab"),
    ("RPUSH", "abbb"),
    ("RPUSH", "av"),
    ("LPUSHX", "ab"),
    ("RPUSHX", "abb"),
    ("LPOP", "a"),
    ("LPOP", "an"),
    ("RPOP", "an"),
    ("RPOP", "ann"),
    ("LLEN", "a"),
    ("LINDEX", "an"),
    ("LRANGE", "ann"),
    ("LTRIM", "ann"),
    ("LSET", "anb"),
    ("LINSERT", "awbb"),
    ("LREM", "anb"),
    ("LPOS", "ab"),
    ("LPOS", "abon"),
    ("LPOS", "abonon"),
    ("LMOVE", "aaww"),
    ("RPOPLPUSH", "aa"),
    ("LMPOP", "naw"),
    ("LMPOP", "naaw"),
    ("LMPOP", "naawon"),
    ("SADD", "sb"),
    ("SADD", "sbbv"),
    ("SADD", "snnn"),
    ("SREM", "sbb"),
    ("SMOVE", "ssb"),
    ("SCARD", "s"),
    ("SISMEMBER", "sb"),
    ("SMISMEMBER", "sbbb"),
    ("SMEMBERS", "s"),
    ("SSCAN", "snon"),
    ("SRANDMEMBER", "sn"),
    ("SRANDMEMBER", "snn"),
    ("SINTER", "sss"),
    ("SUNION", "ss"),
    ("SDIFF", "sss"),
    ("SINTERSTORE", "sss"),
    ("SUNIONSTORE", "sss"),
    ("SDIFFSTORE", "sss"),
    ("SINTERCARD", "nss"),
    ("SINTERCARD", "nsson"),
    ("OBJECT", "es"),
    ("ZADD", "znb"),
    ("ZADD", "znbnb"),
    ("ZADD", "zonb"),
    ("ZADD", "zoonb"),
    ("ZADD", "znv"),
    ("ZINCRBY", "znb"),
    ("ZREM", "zbb"),
    ("ZCARD", "z"),
    ("ZSCORE", "zb"),
    ("ZMSCORE", "zbb"),
    ("ZRANK", "zb"),
    ("ZREVRANK", "zb"),
    ("ZCOUNT", "zrr"),
    ("ZLEXCOUNT", "zxx"),
    ("ZRANGE", "znn"),
    ("ZRANGE", "znno"),
    ("ZRANGE", "zrro"),
    ("ZRANGE", "zrroonn"),
    ("ZRANGE", "zrronno"),
    ("ZRANGE", "zxxo"),
    ("ZREVRANGE", "znn"),
    ("ZREVRANGE", "znno"),
    ("ZRANGEBYSCORE", "zrr"),
    ("ZRANGEBYSCORE", "zrronn"),
    ("ZREVRANGEBYSCORE", "zrro"),
    ("ZRANGEBYLEX", "zxx"),
    ("ZREVRANGEBYLEX", "zxxonn"),
    ("ZRANGESTORE", "zzrro"),
    ("ZRANGESTORE", "zznn"),
    ("ZREMRANGEBYRANK", "znn"),
    ("ZREMRANGEBYSCORE", "zrr"),
    ("ZPOPMIN", "z"),
    ("ZPOPMAX", "zn"),
    ("ZMPOP", "nzzw"),
    ("ZMPOP", "nzwon"),
    ("ZUNION", "nzz"),
    ("ZUNION", "nzzo"),
    ("ZUNION", "nzsonn"),
    ("ZUNION", "nzzow"),
    ("ZINTER", "nzzo"),
    ("ZINTER", "nzsonno"),
    ("ZDIFF", "nzzo"),
    ("ZUNIONSTORE", "znzz"),
    ("ZUNIONSTORE", "znzzonn"),
    ("ZINTERSTORE", "znzz"),
    ("ZDIFFSTORE", "znzs"),
    ("ZINTERCARD", "nzz"),
    ("ZINTERCARD", "nzzon"),
    ("ZRANDMEMBER", "zn"),
    ("ZRANDMEMBER", "zno"),
    ("ZSCAN", "znon"),
    ("OBJECT", "ez"),
    ("XADD", "XHCJfv"),
    ("XADD", "XJfv"),
    ("XADD", "XJfv"),
    ("XADD", "XhJfvfv"),
    ("XADD", "XhHiJfv"),
    ("XADD", "XHiJfv"),
    ("XADD", "XHHiHiJfv"),
    ("XADD", "XhQiJfv"),
    ("XADD", "XhQiJf"),
    ("XLEN", "X"),
    ("XRANGE", "XEE"),
    ("XRANGE", "XEEKi"),
    ("XREVRANGE", "XEE"),
    ("XREVRANGE", "XEEKi"),
    ("XDEL", "XJ"),
    ("XDEL", "XJJJ"),
    ("XTRIM", "XhQi"),
    ("XTRIM", "XHi"),
    ("XTRIM", "XHiHi"),
    ("XDEL", "XJJJJ"),
    ("XREAD", "jXV"),
    ("XREAD", "jXXVV"),
    ("XREAD", "KijXXVV"),
    ("XREAD", "KijXVV"),
    ("XREAD", "HijXV"),
    ("XSETID", "XJ"),
    ("XSETID", "XJli"),
    ("XSETID", "XJlJ"),
    ("XSETID", "XJliKJ"),
    ("XINFO", "CX"),
    ("XINFO", "CXCKi"),
    ("XINFO", "CXC"),
    ("XGROUP", "!X1V"),
    ("XGROUP", "!X1V+"),
    ("XGROUP", "!X1V+i"),
    ("XGROUP", "!X1V+i+"),
    ("XGROUP", "@X1V"),
    ("XGROUP", "@X1E"),
    ("XGROUP", "@X1V+i"),
    ("XGROUP", "#X1"),
    ("XGROUP", "%X12"),
    ("XGROUP", "&X12"),
    ("XREADGROUP", "312jX7"),
    ("XREADGROUP", "312KijX7"),
    ("XREADGROUP", "312KijX7"),
    ("XREADGROUP", "312KijXX77"),
    ("XREADGROUP", "312HjX7"),
    ("XREADGROUP", "312HjXXV7"),
    ("XACK", "X1J"),
    ("XACK", "X1JJJ"),
    ("XPENDING", "X1"),
    ("XPENDING", "X1EEi"),
    ("XPENDING", "X1EEi2"),
    ("XPENDING", "X148EEi2"),
    ("XPENDING", "X148EEi"),
    ("XCLAIM", "X128J"),
    ("XCLAIM", "X128JJJ5"),
    ("XCLAIM", "X128JJ5855"),
    ("XCLAIM", "X128J5i5"),
    ("XCLAIM", "X128J6J5"),
    ("XAUTOCLAIM", "X128E"),
    ("XAUTOCLAIM", "X128EKi"),
    ("XAUTOCLAIM", "X128EKi5"),
    ("XINFO", "9X"),
    ("XINFO", "0X1"),
    ("COPY", "XX"),
    ("RENAME", "XX"),
    ("DEL", "X"),
    ("OBJECT", "eX"),
    ("HSET", "kfv"),
    ("HSET", "kfvfv"),
    ("HMSET", "kfv"),
    ("HSETNX", "kfv"),
    ("HGET", "kf"),
    ("HMGET", "kff"),
    ("HGETALL", "k"),
    ("HKEYS", "k"),
    ("HVALS", "k"),
    ("HLEN", "k"),
    ("HEXISTS", "kf"),
    ("HDEL", "kff"),
    ("HSTRLEN", "kf"),
    ("HINCRBY", "kfn"),
    ("HINCRBYFLOAT", "kfn"),
    ("HRANDFIELD", "kn"),
    ("HRANDFIELD", "kno"),
    ("HSCAN", "kn"),
    ("HSCAN", "knon"),
];

const OPTIONS: &[&str] = &[
    "NX",
    "XX",
    "GT",
    "LT",
    "GET",
    "KEEPTTL",
    "PERSIST",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "ex",
    "idx",
    "LEN",
    "WITHMATCHLEN",
    "MINMATCHLEN",
    "DB",
    "REPLACE",
    "MATCH",
    "COUNT",
    "TYPE",
    "WITHVALUES",
    "ASYNC",
    "SYNC",
    "RANK",
    "CH",
    "INCR",
    "REV",
    "BYSCORE",
    "BYLEX",
    "WITHSCORES",
    "WEIGHTS",
    "AGGREGATE",
    "LIMIT",
    "MAXLEN",
    "nonsense",
    "a\r\nb",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "5",
    "-3",
    "10",
    "100",
    "3.5",
    "-0.25",
    "1e3",
    " 1",
    "1 ",
    "+1",
    "01",
    "-0",
    "",
    "x",
    "inf",
    "-inf",
    "nan",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "9223372036854775806",
    "1e400",
    ".5",
];

const TIMES: &[&str] = &[
    "100",
    "1000",
    "100000",
    "0",
    "-1",
    "-100",
    "x",
    "1.5",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775",
    "9223372036854776",
    "4102444800",
    "4102444800000",
    "",
];

const VALUES: &[&str] =
    &["", "1", "41", "text", "0.1", "-7.25", "9223372036854775807", "*", "k[1-3]", "h*", "ohmytext", "mynewtext"];

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.below(from.len() as u64) as usize]
}

fn word(rng: &mut Rng, kind: char) -> String {
    // Now and then a word is of the wrong kind; times are not, because keys that expire at once make chance decide.
    // Nor are keys of approximate counts, whose bytes differ by the count that Redis leaves in them.
    let kind = if !"tP".contains(kind) && rng.one_in(25) {
        pick(rng, &["k", "v", "n", "o", "t"]).chars().next().unwrap()
    } else {
        kind
    };
    match kind {
        'k' => pick(rng, &["k1", "k2", "k3", "h1", "h2"]).to_owned(),
        'f' => pick(rng, &["f1", "f2", "f3", "f4"]).to_owned(),
        'a' => pick(rng, &["l1", "l1", "l2", "l3", "k1"]).to_owned(),
        'z' => pick(rng, &["z1", "z1", "z2", "z3", "s1", "k1"]).to_owned(),
        'r' => pick(rng, &["-inf", "+inf", "(1", "1", "2", "5", "(5", "-3", "0", "x", "(", "nan", "100"]).to_owned(),
        'x' => pick(rng, &["-", "+", "[1", "(2", "[text", "[", "x", ""]).to_owned(),
        's' => pick(rng, &["s1", "s1", "s2", "s3", "k1"]).to_owned(),
        'b' => pick(rng, &["1", "2", "3", "", "text"]).to_owned(),
        'w' => pick(rng, &["LEFT", "RIGHT", "left", "BEFORE", "AFTER", "nowhere", "MIN", "MAX", "SUM"]).to_owned(),
        'n' => pick(rng, NUMBERS).to_owned(),
        'o' => pick(rng, OPTIONS).to_owned(),
        'i' => pick(rng, &["0", "1", "1", "2", "7", "9", "-1", "-9", "-17", "30", "100", "#2"]).to_owned(),
        'P' => pick(rng, &["p1", "p1", "p2", "p3", "l1", "s1"]).to_owned(),
        'g' => pick(rng, &["ENCODING", "GETREG", "DECODE", "TODENSE", "encoding", "ENCODING", "what"]).to_owned(),
        'G' => pick(rng, &["g1", "g1", "g1", "g2", "k1"]).to_owned(),
        'L' => pick(rng, &["0", "1", "1.5", "-1", "2.25", "80", "-84", "86", "x", "0.001", "45"]).to_owned(),
        // Redis 7.0 misses members of areas that reach around the earth.
        'd' => pick(rng, &["0", "1", "10", "200", "1000", "2000", "-1", "x"]).to_owned(),
        'U' => pick(rng, &["m", "km", "km", "KM", "ft", "mi", "ly"]).to_owned(),
        'F' => "FROMLONLAT".to_owned(),
        'M' => "FROMMEMBER".to_owned(),
        'R' => "BYRADIUS".to_owned(),
        'B' => "BYBOX".to_owned(),
        'S' => pick(rng, &["STORE", "STOREDIST"]).to_owned(),
        'A' => pick(rng, &["ASC", "DESC", "WITHDIST", "WITHHASH", "WITHCOORD", "ANY", "COUNT", "STOREDIST"]).to_owned(),
        'T' => pick(rng, &["l1", "l2", "s1", "s2", "z1", "z2", "k1", "l3"]).to_owned(),
        'm' => pick(rng, &["ALPHA", "alpha", "ALPHA", "DESC", "ASC", "nonsense"]).to_owned(),
        'Y' => "BY".to_owned(),
        'Z' => "GET".to_owned(),
        'I' => "LIMIT".to_owned(),
        'N' => pick(rng, &["0", "1", "2", "-1", "100", "x"]).to_owned(),
        'D' => "STORE".to_owned(),
        'W' => pick(rng, &["k*", "h*->f1", "#", "nosort", "k*->f1", "*", "h*->", "x*"]).to_owned(),
        'u' => pick(rng, &["BIT", "BYTE", "bit", "byte", "NIBBLE"]).to_owned(),
        'q' => pick(rng, &["AND", "OR", "XOR", "NOT", "and", "NAND"]).to_owned(),
        'c' => pick(rng, &["GET", "SET", "INCRBY", "incrby", "SET"]).to_owned(),
        'y' => pick(rng, &["u1", "i1", "u8", "i8", "i64", "u63", "u64", "i5", "u13", "x8", "i65", "u01"]).to_owned(),
        'O' => "OVERFLOW".to_owned(),
        'p' => pick(rng, &["WRAP", "SAT", "FAIL", "sat", "NONE"]).to_owned(),
        'X' => pick(rng, &["x1", "x1", "x1", "x2", "x3", "k1"]).to_owned(),
        'J' => match rng.below(12) {
            0 => pick(rng, &["0-0", "0", "x", "-", "+", "18446744073709551616", "1-", "(1-1"]).to_owned(),
            1..3 => format!("{}-*", rng.below(40)),
            3..5 => rng.below(40).to_string(),
            _ => format!("{}-{}", rng.below(40), rng.below(4)),
        },
        'E' => match rng.below(8) {
            0..2 => "-".to_owned(),
            2..4 => "+".to_owned(),
            4 => format!("({}-{}", rng.below(40), rng.below(4)),
            5 => pick(rng, &["(0-0", "(0", "(", "x", "(18446744073709551615-18446744073709551615", "(-", "5-*"])
                .to_owned(),
            6 => rng.below(40).to_string(),
            _ => format!("{}-{}", rng.below(40), rng.below(4)),
        },
        'V' => match rng.below(6) {
            0 => pick(rng, &["$", ">", "-", "x", "0-0", "18446744073709551615-18446744073709551615"]).to_owned(),
            _ => format!("{}-{}", rng.below(40), rng.below(4)),
        },
        '1' => pick(rng, &["g1", "g1", "g1", "g2"]).to_owned(),
        '2' => pick(rng, &["c1", "c2", "c1", "c2", "c3"]).to_owned(),
        '!' => "CREATE".to_owned(),
        '@' => "SETID".to_owned(),
        '#' => "DESTROY".to_owned(),
        '%' => "CREATECONSUMER".to_owned(),
        '&' => "DELCONSUMER".to_owned(),
        '+' => pick(rng, &["MKSTREAM", "MKSTREAM", "ENTRIESREAD", "entriesread"]).to_owned(),
        '3' => "GROUP".to_owned(),
        '4' => "IDLE".to_owned(),
        '5' => pick(rng, &["IDLE", "TIME", "RETRYCOUNT", "FORCE", "JUSTID", "FORCE", "JUSTID", "COUNT"]).to_owned(),
        '6' => "LASTID".to_owned(),
        '7' if rng.one_in(4) => format!("{}-{}", rng.below(40), rng.below(4)),
        '7' => pick(rng, &[">", ">", ">", ">", "0", "0-0", "$", "x"]).to_owned(),
        '8' => pick(rng, &["0", "0", "0", "50000", "100000", "-5", "1000000000000", "x"]).to_owned(),
        '9' => "GROUPS".to_owned(),
        '0' => "CONSUMERS".to_owned(),
        'j' => "STREAMS".to_owned(),
        'K' => pick(rng, &["COUNT", "COUNT", "count", "COUNT", "LIMIT"]).to_owned(),
        'h' => pick(rng, &["MAXLEN", "MINID", "maxlen"]).to_owned(),
        'Q' => "=".to_owned(),
        'H' => pick(rng, &["NOMKSTREAM", "MAXLEN", "MINID", "=", "LIMIT", "MAXLEN", "GROUP", "NOACK"]).to_owned(),
        'l' => pick(rng, &["ENTRIESADDED", "MAXDELETEDID", "entriesadded"]).to_owned(),
        'C' => pick(rng, &["STREAM", "STREAM", "FULL", "stream"]).to_owned(),
        't' => pick(rng, TIMES).to_owned(),
        'e' => pick(rng, &["ENCODING", "encoding", "REFCOUNT", "FREQ", "nope"]).to_owned(),
        _ if rng.one_in(12) => "x".repeat(rng.range(40, 900) as usize),
        _ => pick(rng, VALUES).to_owned(),
    }
}

#[test]
fn redis_says_the_same() {
    let Ok(address) = std::env::var("POLDER_REDIS_ADDR") else {
        eprintln!("NOT RUN: POLDER_REDIS_ADDR names no Redis to compare with");
        return;
    };
    let commands: usize = std::env::var("POLDER_REDIS_COMMANDS").map_or(20_000, |n| n.parse().unwrap());
    let prefix = std::env::var("POLDER_REDIS_PREFIX").unwrap_or_default();
    let shapes: Vec<_> = SHAPES.iter().copied().filter(|(name, _)| name.starts_with(&prefix)).collect();
    let mut peer = Peer::connect(&address);
    peer.run(&["FLUSHALL"]);
    let mut rng = Rng::new(7);
    let mut shard = Shard::new(Layout::Colocated, Pace { group: 3, lag: 2 }, 1);
    shard.env.resp3 = true;
    let mut different = Vec::new();
    for _ in 0..commands {
        let (name, shape) = shapes[rng.below(shapes.len() as u64) as usize];
        let mut words = vec![name.to_owned()];
        words.extend(shape.chars().map(|kind| word(&mut rng, kind)));
        let theirs = peer.run(&words);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        shard.env.now_ms = since_epoch.as_millis() as u64;
        let ours = match command(&words) {
            Ok(cmd) => shard.run(&cmd),
            Err(reply) => reply,
        };
        if matches!(name, "XREADGROUP" | "XCLAIM" | "XAUTOCLAIM") && !ours.is_error() {
            make_consumers(&mut peer, &words);
        }
        if name.ends_with("FLOAT") && !ours.is_error() && ours != theirs {
            adopt(&mut peer, &words, &ours);
        }
        // A range of members means nothing where scores differ.
        let by_lex = words.iter().any(|w| w.contains("LEX"));
        if !alike(name, &ours, &theirs) && (!by_lex || ours.is_error() || theirs.is_error()) {
            different.push(format!("{words:?}\n   ours {}\n  Redis {}", text::show(&ours), text::show(&theirs)));
            if different.len() > 10 {
                break;
            }
        }
    }
    shard.settle();
    integrity::check(&shard.base, Layout::Colocated);
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Streams of both are restored by the other; consumers only here, because Redis 7.0 does not read what 7.2 writes of them.
#[test]
fn streams_travel_both_ways() {
    let Ok(address) = std::env::var("POLDER_REDIS_ADDR") else {
        eprintln!("NOT RUN: POLDER_REDIS_ADDR names no Redis to compare with");
        return;
    };
    let mut peer = Peer::connect(&address);
    peer.run(&["DEL", "travels", "back"]);
    let mut shard = Shard::new(Layout::Colocated, Pace { group: 3, lag: 2 }, 1);
    shard.env.resp3 = true;
    shard.env.now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut rng = Rng::new(3);
    let fields = ["f", "longer field", "7", "-300", "9223372036854775807"];
    for n in 0..400u64 {
        let (id, field) =
            (format!("{}-{}", n * n * 1_000_003 / 7, n % 3), pick(&mut rng, &fields[..1 + n as usize / 80]));
        let value =
            if rng.one_in(30) { "x".repeat(rng.below(20_000) as usize) } else { rng.below(1 << 40).to_string() };
        peer.run(&["XADD", "travels", &id, field, &value, "g", "h"]);
        if rng.one_in(9) {
            peer.run(&["XDEL", "travels", &id]);
        }
    }
    peer.run(&["XGROUP", "CREATE", "travels", "none", "5"]);
    let restore = |shard: &mut Shard, peer: &mut Peer| {
        let Reply::Bulk(payload) = peer.run(&["DUMP", "travels"]) else { panic!("a payload") };
        let words: [&[u8]; 5] = [b"RESTORE", b"travels", b"0", &payload, b"REPLACE"];
        assert_eq!(shard.run(&command(&words).unwrap()), Reply::OK);
        for question in [&["XINFO", "STREAM", "travels", "FULL", "COUNT", "0"][..], &["XRANGE", "travels", "-", "+"]] {
            let (ours, theirs) = (shard.run(&command(question).unwrap()), peer.run(question));
            assert!(facts(&ours, &theirs), "{}\n{}", text::show(&ours), text::show(&theirs));
        }
    };
    restore(&mut shard, &mut peer);
    let Reply::Bulk(payload) = shard.run(&command(&["DUMP", "travels"]).unwrap()) else { panic!("a payload") };
    let mut body = payload[..payload.len() - 10].to_vec();
    // Without consumers the forms of 7.2 and 7.0 differ in their number only.
    body[0] = 19;
    let words: [&[u8]; 4] = [b"RESTORE", b"back", b"0", &state::rdb::seal(body)];
    assert_eq!(peer.run(&words), Reply::OK);
    assert_eq!(peer.run(&["XRANGE", "back", "-", "+"]), peer.run(&["XRANGE", "travels", "-", "+"]));
    for (consumer, count) in [("me", "9"), ("you", "20"), ("me", "3")] {
        peer.run(&["XREADGROUP", "GROUP", "none", consumer, "COUNT", count, "STREAMS", "travels", ">"]);
    }
    restore(&mut shard, &mut peer);
    let Reply::Bulk(payload) = shard.run(&command(&["DUMP", "travels"]).unwrap()) else { panic!("a payload") };
    let words: [&[u8]; 4] = [b"RESTORE", b"again", b"0", &payload];
    assert_eq!(shard.run(&command(&words).unwrap()), Reply::OK);
    let full = |shard: &mut Shard, key| shard.run(&command(&["XINFO", "STREAM", key, "FULL", "COUNT", "0"]).unwrap());
    assert_eq!(full(&mut shard, "travels"), full(&mut shard, "again"));
    shard.settle();
    integrity::check(&shard.base, Layout::Colocated);
}

/// Gives Redis our result of an increment, so that a difference in the last place does not spread.
fn adopt(peer: &mut Peer, words: &[String], ours: &Reply) {
    let Reply::Bulk(sum) = ours else { return };
    let mut set: Vec<&[u8]> = vec![b"SET", words[1].as_bytes(), sum, b"KEEPTTL"];
    if words[0] == "HINCRBYFLOAT" {
        set = vec![b"HSET", words[1].as_bytes(), words[2].as_bytes(), sum];
    }
    peer.run(&set);
}

/// Whether two replies are the same but for order, chance, time passing and the precision of floats.
fn alike(name: &str, ours: &Reply, theirs: &Reply) -> bool {
    match (ours, theirs) {
        // Redis shares small integers, and keeps what INCRBYFLOAT prints as text even if it is an integer.
        (Reply::Integer(_), Reply::Integer(_)) if name == "OBJECT" => true,
        (Reply::Bulk(a), Reply::Bulk(b)) if name == "OBJECT" && a == "int" => b == "int" || b == "embstr",
        // Redis' SORT converts the sorted set that it reads.
        (Reply::Bulk(a), Reply::Bulk(b)) if name == "OBJECT" && a == "listpack" && b == "skiplist" => true,
        // Redis 7.0 has no listpacks for lists and sets, and a set that lost its last text is no intset again.
        (Reply::Bulk(a), Reply::Bulk(b)) if name == "OBJECT" && (a == "listpack" || a == "intset") => {
            a == b || b == "hashtable" || b == "quicklist"
        }
        // Ours repeat at most 128 bytes of a word.
        (Reply::Error(a), Reply::Error(b)) if a.len() > 128 => b.starts_with(a.get(..128).unwrap_or(a)),
        (Reply::Error(a), Reply::Error(b)) => {
            a == b || a.contains("value must between") || (a.contains("Unbalanced") && b.contains("Unbalanced"))
        }
        // Redis 7.0 lets LPOS have the one rank that has no opposite.
        (Reply::Error(a), _) => a.contains("256 MiB") || a.contains("value must between"),
        // RESP3 has one null.
        (Reply::NullArray, Reply::Null) => true,
        (Reply::Integer(a), Reply::Integer(b)) if name.ends_with("TTL") || name.ends_with("TIME") => {
            a.signum() == b.signum() && (a - b).abs() < 1000
        }
        (Reply::Bulk(a), Reply::Bulk(b)) if name.ends_with("FLOAT") => close(a, b),
        (Reply::Array(a), Reply::Array(b)) if name.contains("RAND") => a.len() == b.len(),
        (Reply::Set(a), Reply::Set(b)) => sorted(a) == sorted(b),
        // Members of a set that are not to be sorted, and elements that compare as equal, come as they lie.
        (Reply::Array(a), Reply::Array(b)) if name.starts_with("SORT") => a.len() == b.len(),
        // Cursors are our own; what a walk finds is checked against the model.
        (Reply::Array(_), Reply::Array(_)) if name.ends_with("SCAN") => true,
        (Reply::Array(a), Reply::Array(b)) if matches!(name, "KEYS" | "HKEYS" | "HVALS") => sorted(a) == sorted(b),
        (Reply::Map(a), Reply::Map(b)) if name == "HGETALL" => {
            let flat = |m: &[(Reply, Reply)]| {
                m.iter().map(|(k, v)| Reply::Array(vec![k.clone(), v.clone()])).collect::<Vec<_>>()
            };
            sorted(&flat(a)) == sorted(&flat(b))
        }
        (Reply::Array(a), Reply::Array(b)) if name == "GEOPOS" => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || alike("", a, b))
        }
        // Neighbors of the searched area come in an order of their own.
        (Reply::Array(a), Reply::Array(b)) if name.starts_with("GEO") => sorted(a) == sorted(b),
        _ if matches!(name, "XINFO" | "XPENDING" | "XREADGROUP") => facts(ours, theirs),
        _ => ours == theirs,
    }
}

/// Whether both say the same of a stream, but for times, and facts that are about memory or that Redis 7.0 has not.
fn facts(ours: &Reply, theirs: &Reply) -> bool {
    const OTHER: [&[u8]; 6] =
        [b"radix-tree-keys", b"radix-tree-nodes", b"idle", b"inactive", b"seen-time", b"active-time"];
    let known = |map: &[(Reply, Reply)]| {
        let pairs = map.iter().filter(|(name, _)| !matches!(name, Reply::Bulk(n) if OTHER.contains(&&n[..])));
        pairs.cloned().collect::<Vec<_>>()
    };
    match (ours, theirs) {
        (Reply::Map(a), Reply::Map(b)) => {
            let (a, b) = (known(a), known(b));
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && facts(&a.1, &b.1))
        }
        // A pending entry and when it was delivered, or how long ago.
        (Reply::Array(a), Reply::Array(b)) if matches!(&a[..], [.., Reply::Integer(_), Reply::Integer(_)]) => {
            let near = |at: usize| match (&a[at], &b[at]) {
                (Reply::Integer(a), Reply::Integer(b)) => (a - b).abs() < 2000,
                _ => false,
            };
            a.len() == b.len() && (0..a.len()).all(|at| if at == a.len() - 2 { near(at) } else { a[at] == b[at] })
        }
        (Reply::Array(a), Reply::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| facts(a, b)),
        (Reply::NullArray, Reply::Null) => true,
        _ => ours == theirs,
    }
}

/// Redis 7.2 makes a consumer who asks for entries, also when there are none; 7.0 does not.
fn make_consumers(peer: &mut Peer, words: &[String]) {
    let (keys, group, consumer) = match words.iter().position(|w| w.eq_ignore_ascii_case("STREAMS")) {
        Some(at) if words[0] == "XREADGROUP" => {
            let names = &words[at + 1..];
            let group = words.iter().position(|w| w.eq_ignore_ascii_case("GROUP")).unwrap();
            (&names[..names.len() / 2], &words[group + 1], &words[group + 2])
        }
        _ => (&words[1..2], &words[2], &words[3]),
    };
    for key in keys {
        peer.run(&["XGROUP", "CREATECONSUMER", key, group, consumer]);
    }
}

fn close(a: &[u8], b: &[u8]) -> bool {
    let number = |w: &[u8]| std::str::from_utf8(w).unwrap().parse::<f64>().unwrap();
    let (a, b) = (number(a), number(b));
    a == b || (a - b).abs() <= a.abs().max(1.0) * 1e-12
}

fn sorted(items: &[Reply]) -> Vec<String> {
    let mut shown: Vec<String> = items
        .iter()
        .map(|item| match item {
            Reply::Array(inner) => sorted(inner).join(" "),
            other => text::show(other),
        })
        .collect();
    shown.sort();
    shown
}
