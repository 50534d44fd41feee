//! What one group does with one call.

use super::cluster::Cluster;
use super::replica::Disk;
use crate::{
    Config, Entry, EntryKind, Group, GroupError, HardState, Membership, Message, MessageKind, ProposeError, Ready,
    Restored, Role, SnapshotMeta, StepError,
};
use bytes::Bytes;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng};

const ID: NodeId = NodeId(1);

fn voters(ids: &[u64]) -> Membership {
    Membership::of_voters(ids.iter().map(|i| NodeId(*i)))
}

fn group(membership: Membership) -> Group<Disk> {
    Group::new(&Config::new(ID), Restored::founder(membership), Disk::default(), Rng::new(1), Mono(1)).unwrap()
}

fn message(kind: MessageKind, term: u64) -> Message {
    Message {
        kind,
        from: NodeId(2),
        to: ID,
        term,
        log_term: 0,
        index: 0,
        commit: 0,
        commit_term: 0,
        entries: Vec::new(),
        snapshot: None,
        reject: false,
        reject_hint: 0,
        context: Bytes::new(),
        priority: 0,
        sent_at: 0,
    }
}

fn entry(index: u64, term: u64) -> Entry {
    Entry { term, index, kind: EntryKind::Normal, data: Bytes::from_static(b"x") }
}

fn append(entries: Vec<Entry>) -> Message {
    Message { index: 1, log_term: 1, entries, sent_at: 77, ..message(MessageKind::Append, 2) }
}

fn kinds(ready: &Ready) -> Vec<MessageKind> {
    ready.messages.iter().map(|m| m.kind).collect()
}

/// Makes the group lead by answering for node 2, and returns the time.
fn lead(group: &mut Group<Disk>) -> Mono {
    let mut now = Mono(1);
    for _ in 0..200 {
        now = now + Duration::from_millis(10);
        group.tick(now);
        while let Some(ready) = group.ready(now) {
            if let Some(persist) = ready.persist {
                group.persisted(persist.number, now);
            }
            for request in ready.messages.iter().filter(|m| m.to == NodeId(2)) {
                let (kind, index) = match request.kind {
                    MessageKind::RequestPreVote => (MessageKind::RequestPreVoteResponse, 0),
                    MessageKind::RequestVote => (MessageKind::RequestVoteResponse, 0),
                    MessageKind::Append => (MessageKind::AppendResponse, request.index + request.entries.len() as u64),
                    MessageKind::Heartbeat => (MessageKind::HeartbeatResponse, 0),
                    _ => continue,
                };
                let context = request.context.clone();
                let answer = Message { index, context, sent_at: request.sent_at, ..message(kind, request.term) };
                group.step(answer, now).unwrap();
            }
            if let Some(last) = ready.committed.last() {
                group.applied(last.index);
            }
        }
        if group.lease_until().is_some() {
            return now;
        }
    }
    panic!("never elected");
}

#[test]
fn configuration_problems_come_all_at_once() {
    assert_eq!(Config::new(ID).validate(), Ok(()));
    let bad = Config {
        id: NodeId(0),
        tick: Duration::ZERO,
        lease: Duration::from_millis(150),
        vote_guard: Duration::from_secs(5),
        max_inflight: 0,
        max_message_bytes: 2,
        max_uncommitted_bytes: 1,
        ..Config::new(ID)
    };
    assert_eq!(bad.validate().unwrap_err().problems.len(), 6);
    let close = Config { lease: Duration::from_millis(370), ..Config::new(ID) };
    assert!(close.validate().unwrap_err().to_string().contains("vote_guard"));
}

#[test]
fn contradictions_in_what_was_restored_are_errors() {
    let good = Restored::founder(voters(&[1, 2, 3]));
    let check =
        |restored: Restored| Group::new(&Config::new(ID), restored, Disk::default(), Rng::new(1), Mono(1)).err();
    assert_eq!(check(good.clone()), None);
    assert_eq!(check(Restored::joining()), None);
    for bad in [
        Restored { applied: 2, ..good.clone() },
        Restored { applied: 0, ..good.clone() },
        Restored { last: (5, 9), ..good.clone() },
        Restored { hard_state: HardState::default(), ..good.clone() },
        Restored { membership: Membership { learners: vec![ID], ..voters(&[1]) }, ..good.clone() },
    ] {
        assert!(matches!(check(bad), Some(GroupError::Inconsistent(_))));
    }
    let unreadable = Restored { last: (9, 1), membership: voters(&[1]), ..good };
    assert!(matches!(check(unreadable), Some(GroupError::Log(_))));
}

#[test]
fn malformed_messages_are_errors_and_change_nothing() {
    let mut group = group(voters(&[1, 2, 3]));
    let meta = |index, term, membership| Some(SnapshotMeta { index, term, membership });
    let undecodable = Entry { kind: EntryKind::Membership, data: Bytes::from_static(&[9]), ..entry(2, 2) };
    let bad = [
        message(MessageKind::Heartbeat, 0),
        message(MessageKind::Append, u64::MAX),
        Message { to: NodeId(7), ..message(MessageKind::Heartbeat, 2) },
        Message { from: ID, ..message(MessageKind::Heartbeat, 2) },
        Message { from: NodeId(0), ..message(MessageKind::Heartbeat, 2) },
        Message { index: 1, ..message(MessageKind::Append, 2) },
        append(vec![entry(3, 2)]),
        append(vec![entry(2, 2), entry(4, 2)]),
        append(vec![entry(2, 3)]),
        append(vec![entry(2, 2), entry(3, 1)]),
        append(vec![undecodable]),
        message(MessageKind::Snapshot, 2),
        Message { snapshot: meta(0, 1, voters(&[1])), ..message(MessageKind::Snapshot, 2) },
        Message { snapshot: meta(5, 3, voters(&[1])), ..message(MessageKind::Snapshot, 2) },
        Message { snapshot: meta(5, 2, voters(&[])), ..message(MessageKind::Snapshot, 2) },
        Message { snapshot: meta(5, 2, voters(&[1, 1])), ..message(MessageKind::Snapshot, 2) },
        Message { commit: 9, ..message(MessageKind::Heartbeat, 2) },
        Message { from: NodeId(9), ..message(MessageKind::AppendResponse, 2) },
    ];
    for message in bad {
        assert!(group.step(message.clone(), Mono(5)).is_err(), "{message:?}");
    }
    assert_eq!((group.term(), group.last_index(), group.role()), (1, 1, Role::Follower));
    let lost = group.step(Message { commit: 9, ..message(MessageKind::Heartbeat, 2) }, Mono(5));
    assert_eq!(lost, Err(StepError::LogLost { expected: 9, last: 1 }));
}

#[test]
fn messages_of_every_kind_and_term_are_survived() {
    let mut rng = Rng::new(5);
    let all = [
        MessageKind::Append,
        MessageKind::AppendResponse,
        MessageKind::RequestVote,
        MessageKind::RequestVoteResponse,
        MessageKind::Snapshot,
        MessageKind::Heartbeat,
        MessageKind::HeartbeatResponse,
        MessageKind::TimeoutNow,
        MessageKind::RequestPreVote,
        MessageKind::RequestPreVoteResponse,
        MessageKind::TransferLeader,
        MessageKind::Joining,
    ];
    for round in 0..3000 {
        let mut group = group(voters(&[1, 2, 3]));
        let mut now = if round % 2 == 0 { Mono(1) } else { lead(&mut group) };
        for _ in 0..20 {
            now = now + Duration::from_millis(rng.below(200));
            let kind = all[rng.below(all.len() as u64) as usize];
            let number = |rng: &mut Rng| if rng.one_in(20) { rng.next_u64() } else { rng.below(6) };
            let entries = (0..rng.below(3)).map(|i| entry(number(&mut rng) + i, number(&mut rng))).collect();
            let random = Message {
                from: NodeId(1 + rng.below(4)),
                log_term: number(&mut rng),
                index: number(&mut rng),
                commit: number(&mut rng),
                commit_term: number(&mut rng),
                entries,
                snapshot: rng.one_in(2).then(|| SnapshotMeta { index: 3, term: 2, membership: voters(&[1, 2]) }),
                reject: rng.one_in(2),
                reject_hint: number(&mut rng),
                context: if rng.one_in(3) { Bytes::from_static(b"CampaignTransfer") } else { Bytes::new() },
                sent_at: number(&mut rng),
                ..message(kind, number(&mut rng))
            };
            let _ = group.step(random, now);
            group.tick(now);
            while group.ready(now).is_some() {}
        }
    }
}

#[test]
fn a_follower_confirms_entries_only_when_they_are_durable() {
    let mut group = group(voters(&[1, 2, 3]));
    let now = Mono(10);
    group.step(append(vec![entry(2, 2)]), now).unwrap();
    group.step(Message { sent_at: 88, ..message(MessageKind::Heartbeat, 2) }, now).unwrap();
    let ready = group.ready(now).unwrap();
    assert!(ready.messages.is_empty(), "the term is not durable either");
    let number = ready.persist.unwrap().number;
    group.persisted(number, now);
    let ready = group.ready(now).unwrap();
    let answers: Vec<_> = ready.messages.iter().map(|m| (m.kind, m.index, m.sent_at)).collect();
    assert_eq!(answers, [(MessageKind::AppendResponse, 2, 77), (MessageKind::HeartbeatResponse, 0, 88)]);

    let next = Message { index: 2, log_term: 2, ..append(vec![entry(3, 2)]) };
    group.step(next, now).unwrap();
    group.step(message(MessageKind::Heartbeat, 2), now).unwrap();
    let ready = group.ready(now).unwrap();
    assert_eq!(kinds(&ready), [MessageKind::HeartbeatResponse], "the term is durable, the entry is not");
    group.persisted(ready.persist.unwrap().number, now);
    assert_eq!(kinds(&group.ready(now).unwrap()), [MessageKind::AppendResponse]);
}

#[test]
fn a_leader_replicates_before_its_own_disk_and_applies_after_it() {
    let mut group = group(voters(&[1, 2, 3]));
    let now = lead(&mut group);
    let position = group.propose(Bytes::from_static(b"x")).unwrap();
    group.propose(Bytes::from_static(b"y")).unwrap();
    let ready = group.ready(now).unwrap();
    assert_eq!(kinds(&ready), [MessageKind::Append], "one append for both, to the peer that is known to follow");
    assert_eq!(ready.messages[0].entries.len(), 2);
    assert_eq!(ready.messages[0].sent_at, now.0);
    let number = ready.persist.unwrap().number;
    // The followers are a majority without the leader's own disk.
    for from in [2, 3] {
        let index = position.index + 1;
        group.step(Message { from: NodeId(from), index, ..message(MessageKind::AppendResponse, 2) }, now).unwrap();
    }
    assert_eq!(group.commit_index(), position.index + 1);
    assert!(group.ready(now).is_none_or(|r| r.committed.is_empty()), "not durable here, so not handed out");
    group.persisted(number, now);
    let committed: Vec<u64> = group.ready(now).unwrap().committed.iter().map(|e| e.index).collect();
    assert_eq!(committed, [position.index, position.index + 1]);
}

#[test]
fn a_lease_ends_measured_from_sending() {
    let mut group = group(voters(&[1, 2, 3]));
    let now = lead(&mut group);
    let answered = Message { sent_at: now.0, ..message(MessageKind::HeartbeatResponse, 2) };
    group.step(answered.clone(), now + Duration::from_millis(250)).unwrap();
    assert_eq!(group.lease_until(), Some(now + Duration::from_millis(300)));
    let from_the_future = Message { sent_at: now.0 + 1_000_000_000, ..answered.clone() };
    group.step(from_the_future, now + Duration::from_millis(250)).unwrap();
    let of_another_term = Message { sent_at: now.0 + 200_000_000, ..message(MessageKind::HeartbeatResponse, 1) };
    group.step(of_another_term, now + Duration::from_millis(250)).unwrap();
    assert_eq!(group.lease_until(), Some(now + Duration::from_millis(300)));
}

#[test]
fn proposals_go_to_the_leader() {
    let mut group = group(voters(&[1, 2, 3]));
    assert_eq!(group.propose(Bytes::from_static(b"x")), Err(ProposeError::NotLeader { leader: None }));
    group.step(message(MessageKind::Heartbeat, 2), Mono(5)).unwrap();
    assert_eq!(group.propose(Bytes::from_static(b"x")), Err(ProposeError::NotLeader { leader: Some(NodeId(2)) }));
    assert_eq!(group.read_barrier(Mono(6)).err(), Some(ProposeError::NotLeader { leader: Some(NodeId(2)) }));
}

/// The moment of the crash falls anywhere between two heartbeats; disks take up to 5 ms.
#[test]
fn a_crash_that_is_noticed_costs_little_more_than_the_vote_guard() {
    let mut times = Vec::new();
    for seed in 0..60 {
        let mut cluster = Cluster::new(3, 0, Config::new(ID), seed);
        cluster.write_max = Duration::from_millis(5);
        cluster.run(Duration::from_millis(1000 + seed * 7));
        let old = cluster.leader().unwrap();
        cluster.crash(old);
        let crashed = cluster.now;
        for id in cluster.ids() {
            let now = cluster.time(id);
            if let Some(group) = &mut cluster.replica(id).group {
                group.suspect_leader(now);
            }
        }
        while cluster.leases().iter().all(|(id, _)| *id == old) {
            cluster.step();
        }
        times.push(cluster.now.since(crashed).as_millis());
    }
    times.sort_unstable();
    println!("median {} ms, worst {} ms", times[30], times[59]);
    assert!(times[30] <= 430 && times[59] <= 500, "{times:?}");
}
