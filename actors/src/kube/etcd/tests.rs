//! Members that come, go and change places.

use proptest::prelude::*;

use super::*;

fn three() -> (Etcd, [MemberId; 3]) {
    let mut etcd = Etcd::new(Seed::root(1), "a", "https://a:2380", "https://a:2379");
    let a = etcd.leader().unwrap();
    let [b, c] = ["b", "c"].map(|name| {
        let id = etcd.add(&format!("https://{name}:2380"), true).unwrap();
        etcd.start(id, name, &format!("https://{name}:2379")).unwrap();
        etcd.promote(id).unwrap();
        id
    });
    (etcd, [a, b, c])
}

#[test]
fn the_lead_passes_on_while_more_than_half_run() {
    let (mut etcd, [a, b, c]) = three();
    assert_eq!(etcd.leader(), Some(a));
    let term = etcd.term();
    etcd.stop(a);
    let next = etcd.leader().unwrap();
    assert!(next == b || next == c);
    assert_eq!(etcd.term(), term + 1);
    etcd.stop(b);
    assert_eq!(etcd.leader(), None);
    assert_eq!(etcd.remove(a), Err(EtcdError::NoLeader));
    etcd.start(a, "a", "https://a:2379").unwrap();
    assert!(etcd.leader().is_some());
}

#[test]
fn members_come_as_learners_and_go() {
    let (mut etcd, [a, b, c]) = three();
    let d = etcd.add("https://d:2380", true).unwrap();
    assert_eq!(etcd.add("https://e:2380", true), Err(EtcdError::TooManyLearners));
    assert_eq!(etcd.add("https://d:2380", false), Err(EtcdError::PeerUrlExists));
    assert_eq!(etcd.move_leader(a, d), Err(EtcdError::BadLeaderTransferee));
    assert_eq!(etcd.move_leader(b, c), Err(EtcdError::NotLeader));
    etcd.move_leader(a, c).unwrap();
    assert_eq!(etcd.leader(), Some(c));
    etcd.remove(d).unwrap();
    etcd.stop(a);
    assert_eq!(etcd.remove(b), Err(EtcdError::UnhealthyCluster));
    etcd.remove(a).unwrap();
    assert_eq!(etcd.remove(a), Err(EtcdError::MemberNotFound));
    assert_eq!(etcd.promote(b), Err(EtcdError::NotLearner));
}

#[test]
fn the_lead_goes_round_as_time_passes() {
    let (mut etcd, [a, ..]) = three();
    let begin = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let at = |seconds| begin + chrono::TimeDelta::seconds(seconds);
    let term = etcd.term();
    let flaps = Flaps {
        since: begin,
        every: Duration::from_secs(30),
        until: Some(at(300)),
    };
    assert_eq!(etcd.set_flaps(Some(flaps), at(0)), 0);
    assert!(!etcd.lags(at(29)) && etcd.lags(at(30)));
    let mut seen = BTreeSet::new();
    for second in [30, 60, 90] {
        assert_eq!(etcd.catch_up(at(second)), 1, "at {second} s");
        seen.insert(etcd.leader().unwrap());
    }
    assert_eq!((seen.len(), etcd.leader(), etcd.term()), (3, Some(a), term + 3));
    // All at once, and none at the end.
    assert_eq!(etcd.set_flaps(Some(flaps), at(90)), 0);
    assert_eq!(etcd.catch_up(at(1000)), 6);
    assert_eq!(etcd.catch_up(at(2000)), 0);
    assert_eq!(etcd.set_flaps(None, at(2000)), 0);
    // One that is told of late begins then.
    let flaps = Flaps { until: None, ..flaps };
    assert_eq!(etcd.set_flaps(Some(flaps), at(3010)), 0);
    assert_eq!(etcd.catch_up(at(3030)), 1);
    // Nobody is elected without a quorum, and that is not made up for.
    let ids: Vec<MemberId> = etcd.members().map(|(id, _)| id).collect();
    etcd.stop(ids[0]);
    etcd.stop(ids[1]);
    let term = etcd.term();
    assert_eq!(etcd.catch_up(at(4000)), 0);
    assert_eq!((etcd.leader(), etcd.term()), (None, term));
}

#[test]
fn an_alarm_whose_cause_lasts_is_raised_again() {
    let (mut etcd, [a, b, _]) = three();
    assert_eq!(etcd.alarm(), None);
    etcd.afflict("b", &[Alarm::NoSpace]);
    etcd.set_alarm(a, Alarm::NoSpace, true);
    etcd.set_alarm(MemberId(7), Alarm::Corrupt, true);
    assert_eq!(etcd.alarms().count(), 2);
    for id in [a, b] {
        etcd.set_alarm(id, Alarm::NoSpace, false);
    }
    assert_eq!(etcd.alarms().collect::<Vec<_>>(), [(b, Alarm::NoSpace)]);
    assert_eq!(
        etcd.alarm().map(Alarm::refusal),
        Some("etcdserver: mvcc: database space exceeded")
    );
    etcd.afflict("b", &[Alarm::NoSpace, Alarm::Corrupt]);
    assert_eq!(etcd.alarm(), Some(Alarm::Corrupt));
    etcd.afflict("b", &[]);
    assert_eq!(etcd.alarm(), None);
}

proptest! {
    #[test]
    fn a_leader_is_a_running_voter_exactly_with_a_quorum(steps in proptest::collection::vec((0_u8..6, 0_usize..6), 0..40)) {
        let (mut etcd, _) = three();
        let (mut term, mut index) = (etcd.term(), etcd.index(1));
        for (number, (what, which)) in steps.into_iter().enumerate() {
            let ids: Vec<MemberId> = etcd.members().map(|(id, _)| id).collect();
            let id = ids[which % ids.len()];
            match what {
                0 => etcd.stop(id),
                1 => drop(etcd.start(id, &format!("n{}", id.0), "https://n:2379")),
                2 => drop(etcd.remove(id)),
                3 => drop(etcd.add(&format!("https://x{number}:2380"), which % 2 == 0)),
                4 => drop(etcd.promote(id)),
                _ => drop(etcd.leader().map(|leader| etcd.move_leader(leader, id))),
            }
            prop_assert_eq!(etcd.leader().is_some(), etcd.has_quorum());
            if let Some(leader) = etcd.leader() {
                let member = &etcd.members[&leader];
                prop_assert!(member.running && !member.learner);
            }
            prop_assert!(etcd.term() >= term && etcd.index(1) >= index);
            prop_assert!(!etcd.members.is_empty());
            (term, index) = (etcd.term(), etcd.index(1));
        }
    }
}
