//! etcd as its clients see it: one truth per cluster about members, leader and quorum.
//!
//! Nothing is replicated: the objects are in the cluster's [`super::store::Store`]. What is kept here is what members tell about
//! themselves (etcd: `api/etcdserverpb/rpc.proto`, `server/etcdserver`), by rules that hold in life: the first member leads; a lost leader
//! is replaced while more than half of the voting members run; membership changes need that too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::controller::until;
use crate::seed::Seed;

/// Identity of a member: never 0, kept for a member's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// One member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Name: that of its node. Empty until it has started for the first time.
    pub name: Box<str>,
    /// Where other members reach it, `https://10.0.0.1:2380`.
    pub peer_urls: Vec<Box<str>>,
    /// Where clients reach it, `https://10.0.0.1:2379`. Empty until it has started.
    pub client_urls: Vec<Box<str>>,
    /// It follows but does not vote.
    pub learner: bool,
    /// Its process runs.
    pub running: bool,
}

/// What is wrong with a member: `AlarmType`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Alarm {
    /// Its disk is full.
    NoSpace,
    /// Its data are damaged.
    Corrupt,
}

impl Alarm {
    /// Why members refuse to write while it is raised (etcd: `api/v3rpc/rpctypes/error.go`, `ErrNoSpace`, `ErrCorrupt`).
    #[must_use]
    pub const fn refusal(self) -> &'static str {
        match self {
            Self::NoSpace => "etcdserver: mvcc: database space exceeded",
            Self::Corrupt => "etcdserver: corrupt cluster",
        }
    }
}

/// The leader changes again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flaps {
    /// The first change comes one period after this.
    pub since: DateTime<Utc>,
    /// Time from one change to the next; above zero.
    pub every: Duration,
    /// No change comes at or after this; `None` = no end is known.
    pub until: Option<DateTime<Utc>>,
}

impl Flaps {
    /// Changes up to `now`.
    fn count(&self, now: DateTime<Utc>) -> u64 {
        let period = self.every.as_millis().max(1);
        let (end, last) = match self.until {
            // One that would come at the end does not come.
            Some(until) if until <= now => (until, 1),
            _ => (now, 0),
        };
        let passed = until(self.since, end).as_millis().saturating_sub(last);
        u64::try_from(passed / period).unwrap_or(u64::MAX)
    }
}

/// Why etcd refuses, in its own words (etcd: `api/v3rpc/rpctypes/error.go`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EtcdError {
    /// `NotFound`.
    #[error("etcdserver: member not found")]
    MemberNotFound,
    /// `FailedPrecondition`.
    #[error("etcdserver: not leader")]
    NotLeader,
    /// `FailedPrecondition`.
    #[error("etcdserver: bad leader transferee")]
    BadLeaderTransferee,
    /// `FailedPrecondition`.
    #[error("etcdserver: can only promote a learner member")]
    NotLearner,
    /// `FailedPrecondition`.
    #[error("etcdserver: too many learner members in cluster")]
    TooManyLearners,
    /// `FailedPrecondition`.
    #[error("etcdserver: Peer URLs already exists")]
    PeerUrlExists,
    /// `FailedPrecondition`: the change would leave too few started members.
    #[error("etcdserver: unhealthy cluster")]
    UnhealthyCluster,
    /// `Unavailable`: no leader, so nothing can be agreed on.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// `Unavailable`: the callee itself does not run.
    #[error("etcdserver: server stopped")]
    Stopped,
}

/// Learners at once (etcd: `--max-learners`).
const LEARNERS_MAX: usize = 1;

/// The members of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Etcd {
    cluster_id: u64,
    seed: Seed,
    made: u64,
    members: BTreeMap<MemberId, Member>,
    leader: Option<MemberId>,
    term: u64,
    /// Entries of the log that are no writes of objects: elections and changes of members.
    entries: u64,
    /// Alarms that clients raised.
    alarms: BTreeSet<(MemberId, Alarm)>,
    /// Alarms whose cause lasts: who clears one sees it raised again.
    lasting: BTreeSet<(MemberId, Alarm)>,
    flaps: Option<Flaps>,
}

impl Etcd {
    /// A cluster of one running member, which leads.
    #[must_use]
    pub fn new(seed: Seed, name: &str, peer_url: &str, client_url: &str) -> Self {
        let mut etcd = Self {
            cluster_id: non_zero(seed.child("cluster")),
            seed,
            made: 0,
            members: BTreeMap::new(),
            leader: None,
            term: 1,
            entries: 3,
            alarms: BTreeSet::new(),
            lasting: BTreeSet::new(),
            flaps: None,
        };
        let id = etcd.next_id();
        etcd.members.insert(
            id,
            Member {
                name: name.into(),
                peer_urls: vec![peer_url.into()],
                client_urls: vec![client_url.into()],
                learner: false,
                running: true,
            },
        );
        etcd.elect();
        etcd
    }

    fn next_id(&mut self) -> MemberId {
        loop {
            self.made += 1;
            let id = MemberId(non_zero(self.seed.indexed(self.made)));
            if !self.members.contains_key(&id) {
                return id;
            }
        }
    }

    /// Identity of the cluster.
    #[must_use]
    pub const fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    /// The members by their ids.
    pub fn members(&self) -> impl Iterator<Item = (MemberId, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// A member.
    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// A member by the name of its node.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<(MemberId, &Member)> {
        self.members().find(|(_, member)| &*member.name == name)
    }

    /// Who leads; `None` without a quorum.
    #[must_use]
    pub const fn leader(&self) -> Option<MemberId> {
        self.leader
    }

    /// Term of the leader's election.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// Index of the log at a revision of the store.
    #[must_use]
    pub const fn index(&self, revision: u64) -> u64 {
        revision.saturating_add(self.entries)
    }

    /// Alarms that are raised.
    pub fn alarms(&self) -> impl Iterator<Item = (MemberId, Alarm)> {
        self.alarms.union(&self.lasting).copied()
    }

    /// The alarm for which writes are refused, by all members alike: damage weighs more.
    #[must_use]
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarms().map(|(_, alarm)| alarm).max()
    }

    /// Raises or clears an alarm of a member. One whose cause lasts is raised again at once.
    pub fn set_alarm(&mut self, id: MemberId, alarm: Alarm, raised: bool) {
        if raised && self.members.contains_key(&id) {
            self.alarms.insert((id, alarm));
        } else {
            self.alarms.remove(&(id, alarm));
        }
    }

    /// A member has cause to raise these alarms from now on, and no others.
    pub fn afflict(&mut self, name: &str, alarms: &[Alarm]) {
        let Some((id, _)) = self.by_name(name) else { return };
        self.lasting.retain(|(member, _)| *member != id);
        self.lasting.extend(alarms.iter().map(|alarm| (id, *alarm)));
    }

    /// The leader changes like this from now on; `None`: no more by itself. What came up to `now` is kept.
    pub fn set_flaps(&mut self, flaps: Option<Flaps>, now: DateTime<Utc>) -> u64 {
        let changes = self.catch_up(now);
        // The same again goes on where it is.
        let same = |known: &Flaps, new: &Flaps| (known.every, known.until) == (new.every, new.until);
        if let Some(new) = &flaps
            && let Some(known) = &self.flaps
            && same(known, new)
        {
            return changes;
        }
        self.flaps = flaps.map(|mut flaps| {
            // What began before is not made up for, but its rhythm is kept.
            flaps.since += period_of(&flaps, flaps.count(now));
            flaps
        });
        changes
    }

    /// Whether the leader changes by itself.
    #[must_use]
    pub const fn has_flaps(&self) -> bool {
        self.flaps.is_some()
    }

    /// Whether the leader has changed since the last [`Self::catch_up`].
    #[must_use]
    pub fn lags(&self, now: DateTime<Utc>) -> bool {
        self.flaps.is_some_and(|flaps| flaps.count(now) > 0)
    }

    /// Makes the changes of the leader that came up to `now`, and tells how many there were. Without a quorum there are none.
    pub fn catch_up(&mut self, now: DateTime<Utc>) -> u64 {
        let Some(mut flaps) = self.flaps else { return 0 };
        let count = flaps.count(now);
        if count == 0 {
            return 0;
        }
        flaps.since += period_of(&flaps, count);
        self.flaps = Some(flaps);
        let Some(leader) = self.leader else { return 0 };
        let able: Vec<MemberId> = self
            .members
            .iter()
            .filter(|(_, member)| member.running && !member.learner)
            .map(|(id, _)| *id)
            .collect();
        let place = able.iter().position(|id| *id == leader).unwrap_or(0);
        let turns = usize::try_from(count % u64::try_from(able.len().max(1)).unwrap_or(1)).unwrap_or(0);
        if let Some(next) = able.get((place + turns) % able.len().max(1)) {
            self.leader = Some(*next);
        }
        self.term = self.term.saturating_add(count);
        self.entries = self.entries.saturating_add(count);
        count
    }

    /// Whether more than half of the voters run.
    #[must_use]
    pub fn has_quorum(&self) -> bool {
        let voters = self.members.values().filter(|member| !member.learner);
        let (all, running) = voters.fold((0_usize, 0_usize), |(all, running), member| {
            (all + 1, running + usize::from(member.running))
        });
        running > all / 2
    }

    /// Adds a member that has not started yet (`MemberAdd`).
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub fn add(&mut self, peer_url: &str, learner: bool) -> Result<MemberId, EtcdError> {
        self.agree()?;
        if self
            .members
            .values()
            .any(|member| member.peer_urls.iter().any(|url| &**url == peer_url))
        {
            return Err(EtcdError::PeerUrlExists);
        }
        let learners = self.members.values().filter(|member| member.learner).count();
        if learner && learners >= LEARNERS_MAX {
            return Err(EtcdError::TooManyLearners);
        }
        let id = self.next_id();
        self.members.insert(
            id,
            Member {
                name: "".into(),
                peer_urls: vec![peer_url.into()],
                client_urls: Vec::new(),
                learner,
                running: false,
            },
        );
        self.entries += 1;
        // A voter that does not run counts: it may cost the quorum, as in life.
        self.elect();
        Ok(id)
    }

    /// The process of a member starts, for the first time or again.
    ///
    /// # Errors
    /// `MemberNotFound` if it was removed.
    pub fn start(&mut self, id: MemberId, name: &str, client_url: &str) -> Result<(), EtcdError> {
        let member = self.members.get_mut(&id).ok_or(EtcdError::MemberNotFound)?;
        member.name = name.into();
        member.client_urls = vec![client_url.into()];
        member.running = true;
        self.elect();
        Ok(())
    }

    /// The process of a member stops.
    pub fn stop(&mut self, id: MemberId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.running = false;
            self.elect();
        }
    }

    /// A learner becomes a voter (`MemberPromote`).
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub fn promote(&mut self, id: MemberId) -> Result<(), EtcdError> {
        self.agree()?;
        let member = self.members.get_mut(&id).ok_or(EtcdError::MemberNotFound)?;
        if !member.learner {
            return Err(EtcdError::NotLearner);
        }
        member.learner = false;
        self.entries += 1;
        self.elect();
        Ok(())
    }

    /// Takes a member out (`MemberRemove`). Its process stops by itself.
    ///
    /// # Errors
    /// `UnhealthyCluster` when too few of the others run; see [`EtcdError`].
    pub fn remove(&mut self, id: MemberId) -> Result<(), EtcdError> {
        self.agree()?;
        if !self.members.contains_key(&id) {
            return Err(EtcdError::MemberNotFound);
        }
        let others = self
            .members
            .iter()
            .filter(|(other, member)| **other != id && !member.learner);
        let (all, running) = others.fold((0_usize, 0_usize), |(all, running), (_, member)| {
            (all + 1, running + usize::from(member.running))
        });
        if running <= all / 2 {
            return Err(EtcdError::UnhealthyCluster);
        }
        self.members.remove(&id);
        self.alarms.retain(|(member, _)| *member != id);
        self.lasting.retain(|(member, _)| *member != id);
        self.entries += 1;
        self.elect();
        Ok(())
    }

    /// Hands the lead to another voter (`MoveLeader`); `callee` is the member that was asked.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub fn move_leader(&mut self, callee: MemberId, to: MemberId) -> Result<(), EtcdError> {
        self.agree()?;
        if self.leader != Some(callee) {
            return Err(EtcdError::NotLeader);
        }
        if self
            .members
            .get(&to)
            .is_none_or(|member| member.learner || !member.running)
        {
            return Err(EtcdError::BadLeaderTransferee);
        }
        if self.leader != Some(to) {
            self.lead(to);
        }
        Ok(())
    }

    fn agree(&self) -> Result<(), EtcdError> {
        self.leader.map(|_| ()).ok_or(EtcdError::NoLeader)
    }

    fn lead(&mut self, id: MemberId) {
        self.leader = Some(id);
        self.term += 1;
        // A leader begins its term with an empty entry.
        self.entries += 1;
    }

    /// Keeps a running voter in the lead, or nobody without a quorum.
    fn elect(&mut self) {
        if !self.has_quorum() {
            self.leader = None;
            return;
        }
        let stays = self
            .leader
            .and_then(|id| self.members.get(&id))
            .is_some_and(|member| member.running && !member.learner);
        if stays {
            return;
        }
        let next = self
            .members
            .iter()
            .find(|(_, member)| member.running && !member.learner)
            .map(|(id, _)| *id);
        match next {
            Some(id) => self.lead(id),
            None => self.leader = None,
        }
    }
}

/// The time of so many periods.
fn period_of(flaps: &Flaps, count: u64) -> chrono::TimeDelta {
    let millis = flaps.every.as_millis().max(1).saturating_mul(u128::from(count));
    chrono::TimeDelta::milliseconds(i64::try_from(millis).unwrap_or(i64::MAX / 2))
}

fn non_zero(seed: Seed) -> u64 {
    seed.value().max(1)
}

#[cfg(test)]
mod tests;
