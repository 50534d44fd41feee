//! Commands on sorted sets.

use crate::table::Spec;
use crate::table::flag::Flag::{Blocking, DenyOom, Fast, Readonly, Write};
use crate::table::group::Group::SortedSet;
use crate::table::keyspec::KeyFlag::{Access, Delete, Ow, Ro, Rw, Update};
use crate::table::keyspec::{at, counted, span};

#[rustfmt::skip] // One command a paragraph reads as a table.
pub(in crate::table) const ROWS: &[Spec] = &[
    Spec::new("bzmpop", SortedSet, -5, "7.0.0")
        .doc("O(N+M), N keys and M members returned.", "Takes members from the first sorted set that has some, or waits for some.")
        .syntax("timeout numkeys key [key ...] <MIN | MAX> [COUNT count]").flags(&[Write, Blocking]).keys(&[counted(2, &[Rw, Access, Delete])]),
    Spec::new("bzpopmax", SortedSet, -3, "5.0.0")
        .doc("O(N+log(M)), N keys, M members of the set.", "Takes the member with the highest score of the first sorted set that has one, or waits.")
        .syntax("key [key ...] timeout").flags(&[Write, Blocking, Fast])
        .keys(&[span(1, -2, 1, &[Rw, Access, Delete])]),
    Spec::new("bzpopmin", SortedSet, -3, "5.0.0")
        .doc("O(N+log(M)), N keys, M members of the set.", "Takes the member with the lowest score of the first sorted set that has one, or waits.")
        .syntax("key [key ...] timeout").flags(&[Write, Blocking, Fast])
        .keys(&[span(1, -2, 1, &[Rw, Access, Delete])]),
    Spec::new("zadd", SortedSet, -4, "1.2.0")
        .doc("O(N*log(M)), N members, M members of the set.", "Adds members with their scores, or changes scores.")
        .syntax("key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]").flags(&[Write, DenyOom, Fast])
        .keys(&[at(1, &[Rw, Update])]),
    Spec::new("zcard", SortedSet, 2, "1.2.0").doc("O(1)", "How many members a sorted set has.")
        .syntax("key").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro])]),
    Spec::new("zcount", SortedSet, 4, "2.0.0")
        .doc("O(log(N)) and N/1000 steps, N members of the set.", "How many members have a score in a range.")
        .syntax("key min max").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("zdiff", SortedSet, -3, "6.2.0")
        .doc("O(N), N members of all sets.", "The members of the first sorted set that no other has.")
        .syntax("numkeys key [key ...] [WITHSCORES]").flags(&[Readonly]).keys(&[counted(1, &[Ro, Access])]),
    Spec::new("zdiffstore", SortedSet, -4, "6.2.0")
        .doc("O(N), N members of all sets.", "Stores the members of the first sorted set that no other has.")
        .syntax("destination numkeys key [key ...]").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), counted(2, &[Ro, Access])]),
    Spec::new("zincrby", SortedSet, 4, "1.2.0").doc("O(log(N)), N members of the set.", "Adds to the score of a member.")
        .syntax("key increment member").flags(&[Write, DenyOom, Fast]).keys(&[at(1, &[Rw, Access, Update])]),
    Spec::new("zinter", SortedSet, -3, "6.2.0")
        .doc("O(N*M), N members of the smallest set, M sets.", "The members that all sorted sets have.")
        .syntax("numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]").flags(&[Readonly])
        .keys(&[counted(1, &[Ro, Access])]),
    Spec::new("zintercard", SortedSet, -3, "7.0.0")
        .doc("O(N*M), N members of the smallest set, M sets.", "How many members all sorted sets have in common.")
        .syntax("numkeys key [key ...] [LIMIT limit]").flags(&[Readonly]).keys(&[counted(1, &[Ro, Access])]),
    Spec::new("zinterstore", SortedSet, -4, "2.0.0")
        .doc("O(N*M), N members of the smallest set, M sets.", "Stores the members that all sorted sets have.")
        .syntax("destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), counted(2, &[Ro, Access])]),
    Spec::new("zlexcount", SortedSet, 4, "2.8.9")
        .doc("O(log(N)) and N/1000 steps, N members of the set.", "How many members lie in a range of bytes.")
        .syntax("key min max").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("zmpop", SortedSet, -4, "7.0.0")
        .doc("O(N+M), N keys and M members returned.", "Takes members from the first sorted set that has some.")
        .syntax("numkeys key [key ...] <MIN | MAX> [COUNT count]").flags(&[Write]).keys(&[counted(1, &[Rw, Access, Delete])]),
    Spec::new("zmscore", SortedSet, -3, "6.2.0").doc("O(N), N members.", "The scores of several members.")
        .syntax("key member [member ...]").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("zpopmax", SortedSet, -2, "5.0.0")
        .doc("O(N*log(M)), N members returned, M members of the set.", "Takes the members with the highest scores.")
        .syntax("key [count]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])]),
    Spec::new("zpopmin", SortedSet, -2, "5.0.0")
        .doc("O(N*log(M)), N members returned, M members of the set.", "Takes the members with the lowest scores.")
        .syntax("key [count]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Access, Delete])]),
    Spec::new("zrandmember", SortedSet, -2, "6.2.0").doc("O(N), N members returned.", "Members of a sorted set chosen at random.")
        .syntax("key [count [WITHSCORES]]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])]).tips(&["nondeterministic_output"]),
    Spec::new("zrange", SortedSet, -4, "1.2.0")
        .doc("O(M), M members returned, and N/1000 steps to a rank, N members of the set.", "The members of a range of ranks, scores or bytes.")
        .syntax("key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]").flags(&[Readonly])
        .keys(&[at(1, &[Ro, Access])]),
    Spec::new("zrangebylex", SortedSet, -4, "2.8.9")
        .doc("O(log(N)+M), N members of the set, M returned.", "The members of a range of bytes.")
        .syntax("key min max [LIMIT offset count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .deprecated("6.2.0", "ZRANGE with BYLEX"),
    Spec::new("zrangebyscore", SortedSet, -4, "1.0.5")
        .doc("O(log(N)+M), N members of the set, M returned.", "The members of a range of scores.")
        .syntax("key min max [WITHSCORES] [LIMIT offset count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .deprecated("6.2.0", "ZRANGE with BYSCORE"),
    Spec::new("zrangestore", SortedSet, -5, "6.2.0").doc("O(M*log(M)), M members stored.", "Stores the members of a range.")
        .syntax("dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), at(2, &[Ro, Access])]),
    Spec::new("zrank", SortedSet, -3, "2.0.0")
        .doc("O(log(N)) and N/1000 steps, N members of the set.", "The rank of a member, lowest score first.")
        .syntax("key member [WITHSCORE]").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("zrem", SortedSet, -3, "1.2.0")
        .doc("O(N*log(M)), N members, M members of the set.", "Removes members from a sorted set.")
        .syntax("key member [member ...]").flags(&[Write, Fast]).keys(&[at(1, &[Rw, Delete])]),
    Spec::new("zremrangebylex", SortedSet, 4, "2.8.9")
        .doc("O(M*log(N)), M members removed, N members of the set.", "Removes the members of a range of bytes.")
        .syntax("key min max").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]),
    Spec::new("zremrangebyrank", SortedSet, 4, "2.0.0")
        .doc("O(M*log(N)), M members removed, N members of the set.", "Removes the members of a range of ranks.")
        .syntax("key start stop").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]),
    Spec::new("zremrangebyscore", SortedSet, 4, "1.2.0")
        .doc("O(M*log(N)), M members removed, N members of the set.", "Removes the members of a range of scores.")
        .syntax("key min max").flags(&[Write]).keys(&[at(1, &[Rw, Delete])]),
    Spec::new("zrevrange", SortedSet, -4, "1.2.0")
        .doc("O(M), M members returned, and N/1000 steps to a rank, N members of the set.", "The members of a range of ranks, highest first.")
        .syntax("key start stop [WITHSCORES]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .deprecated("6.2.0", "ZRANGE with REV"),
    Spec::new("zrevrangebylex", SortedSet, -4, "2.8.9")
        .doc("O(log(N)+M), N members of the set, M returned.", "The members of a range of bytes, highest first.")
        .syntax("key max min [LIMIT offset count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .deprecated("6.2.0", "ZRANGE with REV and BYLEX"),
    Spec::new("zrevrangebyscore", SortedSet, -4, "2.2.0")
        .doc("O(log(N)+M), N members of the set, M returned.", "The members of a range of scores, highest first.")
        .syntax("key max min [WITHSCORES] [LIMIT offset count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .deprecated("6.2.0", "ZRANGE with REV and BYSCORE"),
    Spec::new("zrevrank", SortedSet, -3, "2.0.0")
        .doc("O(log(N)) and N/1000 steps, N members of the set.", "The rank of a member, highest score first.")
        .syntax("key member [WITHSCORE]").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("zscan", SortedSet, -3, "2.8.0")
        .doc("O(1) for a call, O(N) for a whole iteration.", "Iterates over the members of a sorted set with their scores.")
        .syntax("key cursor [MATCH pattern] [COUNT count]").flags(&[Readonly]).keys(&[at(1, &[Ro, Access])])
        .tips(&["nondeterministic_output"]),
    Spec::new("zscore", SortedSet, 3, "1.2.0").doc("O(1)", "The score of a member.")
        .syntax("key member").flags(&[Readonly, Fast]).keys(&[at(1, &[Ro, Access])]),
    Spec::new("zunion", SortedSet, -3, "6.2.0")
        .doc("O(N*log(N)), N members of all sets.", "The members that any of the sorted sets has.")
        .syntax("numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]").flags(&[Readonly])
        .keys(&[counted(1, &[Ro, Access])]),
    Spec::new("zunionstore", SortedSet, -4, "2.0.0")
        .doc("O(N*log(N)), N members of all sets.", "Stores the members that any of the sorted sets has.")
        .syntax("destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]").flags(&[Write, DenyOom])
        .keys(&[at(1, &[Ow, Update]), counted(2, &[Ro, Access])]),
];
