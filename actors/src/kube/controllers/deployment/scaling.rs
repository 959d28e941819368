//! How many replicas each ReplicaSet is to have (kubernetes: `pkg/controller/deployment/sync.go`, `rolling.go`, `util/deployment_util.go`).

use super::super::events::EventType;
use super::rollout::Rollout;
use super::sets::Set;
use super::{DESIRED_REPLICAS, MAX_REPLICAS};
use crate::kube::status::Status;

/// Sum of `spec.replicas`.
pub(super) fn wanted<'a>(sets: impl IntoIterator<Item = &'a Set>) -> i64 {
    sets.into_iter()
        .fold(0, |sum, set| sum.saturating_add(set.replicas))
}

impl Rollout<'_> {
    /// Scales one ReplicaSet, and keeps its annotations right. Says whether its size changed.
    ///
    /// # Errors
    /// What the store refuses.
    pub(super) fn scale_set(&mut self, index: usize, size: i64) -> Result<bool, Status> {
        let (desired, most) = self.replica_annotations();
        let Some(set) = self.sets.get_mut(index) else {
            return Ok(false);
        };
        let before = set.replicas;
        let annotated = set.object.annotation(DESIRED_REPLICAS) == Some(&*desired)
            && set.object.annotation(MAX_REPLICAS) == Some(&*most);
        if before == size && annotated {
            return Ok(false);
        }
        set.write(self.store, self.context, |draft| {
            if let Some(spec) = draft.body.get_mut("spec") {
                spec["replicas"] = size.into();
            }
            let annotations = &mut draft.meta.annotations;
            annotations.insert(DESIRED_REPLICAS.to_owned(), desired);
            annotations.insert(MAX_REPLICAS.to_owned(), most);
        })?;
        if before == size {
            return Ok(false);
        }
        let direction = if before < size { "up" } else { "down" };
        let message = format!(
            "Scaled {direction} replica set {} from {before} to {size}",
            set.object.name()
        );
        self.event(EventType::Normal, "ScalingReplicaSet", &message);
        Ok(true)
    }

    /// As [`Self::scale_set`], only if the size changes.
    pub(super) fn resize(&mut self, index: usize, size: i64) -> Result<bool, Status> {
        if self.sets.get(index).is_none_or(|set| set.replicas == size) {
            return Ok(false);
        }
        self.scale_set(index, size)
    }

    /// The values of the annotations that remember what was wanted.
    pub(super) fn replica_annotations(&self) -> (String, String) {
        let desired = self.spec.replicas;
        let most = desired.saturating_add(self.spec.max_surge());
        (desired.to_string(), most.to_string())
    }

    /// Replicas of the new ReplicaSet, which has `present`.
    pub(super) fn size_of_new(&self, present: i64) -> i64 {
        if !self.spec.is_rolling() {
            return self.spec.replicas;
        }
        let most = self.spec.replicas.saturating_add(self.spec.max_surge());
        let all = wanted(&self.sets);
        if all >= most {
            return present;
        }
        let more = most
            .saturating_sub(all)
            .min(self.spec.replicas.saturating_sub(present));
        present.saturating_add(more)
    }

    /// Whether the Deployment was scaled since it last scaled its ReplicaSets.
    pub(super) fn was_scaled(&self) -> bool {
        self.sets.iter().any(|set| {
            set.replicas > 0
                && set
                    .number(DESIRED_REPLICAS)
                    .is_some_and(|desired| desired != self.spec.replicas)
        })
    }

    /// Spreads the wanted replicas over the ReplicaSets in proportion to their sizes.
    ///
    /// # Errors
    /// What the store refuses.
    pub(super) fn scale(&mut self) -> Result<(), Status> {
        let active: Vec<usize> = self.indices(|set| set.replicas > 0);
        let single = match active.as_slice() {
            [] => self.new.or_else(|| self.old().last().copied()),
            [one] => Some(*one),
            _ => None,
        };
        if let Some(single) = single {
            return self.resize(single, self.spec.replicas).map(drop);
        }
        if active.is_empty() {
            return Ok(());
        }
        if self.is_saturated() {
            for old in self.old() {
                self.resize(old, 0)?;
            }
            return Ok(());
        }
        if !self.spec.is_rolling() {
            return Ok(());
        }
        self.scale_in_proportion(active)
    }

    /// Whether the new ReplicaSet has all that is wanted.
    fn is_saturated(&self) -> bool {
        self.new
            .and_then(|index| self.sets.get(index))
            .is_some_and(|new| {
                new.number(DESIRED_REPLICAS) == Some(self.spec.replicas)
                    && new.replicas == self.spec.replicas
                    && new.status.available_replicas == self.spec.replicas
            })
    }

    fn scale_in_proportion(&mut self, mut active: Vec<usize>) -> Result<(), Status> {
        let size = |index: &usize| self.sets.get(*index).map_or(0, |set| set.replicas);
        let present = active
            .iter()
            .fold(0_i64, |sum, index| sum.saturating_add(size(index)));
        let allowed = if self.spec.replicas > 0 {
            self.spec.replicas.saturating_add(self.spec.max_surge())
        } else {
            0
        };
        let missing = allowed.saturating_sub(present);
        // The larger first; of equals the newer when scaling up, the older when scaling down.
        active.sort_by(|one, two| {
            let by_age = if missing > 0 { two.cmp(one) } else { one.cmp(two) };
            size(two).cmp(&size(one)).then(by_age)
        });
        let mut added = 0_i64;
        let mut sizes = Vec::new();
        for index in &active {
            let share = self
                .sets
                .get(*index)
                .map_or(0, |set| self.share(set, missing, added));
            added = added.saturating_add(share);
            sizes.push((*index, size(index).saturating_add(share)));
        }
        // What rounding left goes to the first.
        let rest = missing.saturating_sub(added);
        for (position, (index, wanted)) in sizes.into_iter().enumerate() {
            let wanted = if position == 0 {
                wanted.saturating_add(rest).max(0)
            } else {
                wanted
            };
            self.scale_set(index, wanted)?;
        }
        Ok(())
    }

    /// Replicas that a ReplicaSet gets of `missing`, of which `added` are given away.
    fn share(&self, set: &Set, missing: i64, added: i64) -> i64 {
        if set.replicas == 0 || missing == 0 || missing == added {
            return 0;
        }
        let fraction = self.fraction(set);
        let allowed = missing.saturating_sub(added);
        if missing > 0 {
            fraction.min(allowed)
        } else {
            fraction.max(allowed)
        }
    }

    fn fraction(&self, set: &Set) -> i64 {
        if self.spec.replicas == 0 {
            return set.replicas.saturating_neg();
        }
        let most = i128::from(self.spec.replicas.saturating_add(self.spec.max_surge()));
        let before = set
            .number(MAX_REPLICAS)
            .filter(|before| *before > 0)
            .unwrap_or(self.status.replicas);
        let before = i128::from(before.max(0));
        if before == 0 {
            return 0;
        }
        let size = i128::from(set.replicas);
        // Rounded half up.
        let new = (size * most * 2 + before) / (before * 2);
        i64::try_from(new - size).unwrap_or(0)
    }

    /// One step of a rolling update: the new ReplicaSet up, then the old ones down. Says whether anything changed.
    ///
    /// # Errors
    /// What the store refuses.
    pub(super) fn roll(&mut self) -> Result<bool, Status> {
        let Some(new) = self.new else {
            return Ok(false);
        };
        let present = self.sets.get(new).map_or(0, |set| set.replicas);
        let size = if present > self.spec.replicas {
            self.spec.replicas
        } else {
            self.size_of_new(present)
        };
        if self.resize(new, size)? {
            return Ok(true);
        }
        self.shrink_old()
    }

    fn shrink_old(&mut self) -> Result<bool, Status> {
        let old = self.old();
        let of_old = old
            .iter()
            .filter_map(|index| self.sets.get(*index))
            .fold(0_i64, |sum, set| sum.saturating_add(set.replicas));
        if of_old == 0 {
            return Ok(false);
        }
        let least = self.spec.replicas.saturating_sub(self.spec.max_unavailable());
        let not_yet = self.new_set().map_or(0, |new| {
            new.replicas.saturating_sub(new.status.available_replicas)
        });
        let most = wanted(&self.sets).saturating_sub(least).saturating_sub(not_yet);
        if most <= 0 {
            return Ok(false);
        }
        // Pods that are not available go first: they are no loss.
        let mut gone = 0_i64;
        for index in &old {
            let Some(set) = self.sets.get(*index) else {
                continue;
            };
            let unhealthy = set.replicas.saturating_sub(set.status.available_replicas);
            if gone >= most || set.replicas == 0 || unhealthy <= 0 {
                continue;
            }
            let count = most.saturating_sub(gone).min(unhealthy);
            let size = set.replicas.saturating_sub(count);
            self.resize(*index, size)?;
            gone = gone.saturating_add(count);
        }
        let available = self.sets.iter().fold(0_i64, |sum, set| {
            sum.saturating_add(set.status.available_replicas)
        });
        let mut surplus = available.saturating_sub(least);
        let mut shrunk = gone > 0;
        for index in old {
            let Some(set) = self.sets.get(index) else {
                continue;
            };
            if surplus <= 0 || set.replicas == 0 {
                continue;
            }
            let count = surplus.min(set.replicas);
            let size = set.replicas.saturating_sub(count);
            self.resize(index, size)?;
            surplus = surplus.saturating_sub(count);
            shrunk = true;
        }
        Ok(shrunk)
    }
}
