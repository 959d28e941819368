//! The numbers of the pods of an indexed Job (kubernetes: `pkg/controller/job/indexed_job_utils.go`).

use std::collections::BTreeSet;

use crate::kube::object::Object;

/// Label and annotation of pods: their number.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The number of a pod, if it is one of the Job's.
pub(super) fn of(pod: &Object, completions: i64) -> Option<i64> {
    let index: i64 = pod.annotation(INDEX)?.parse().ok()?;
    (0..completions).contains(&index).then_some(index)
}

/// Reads `1,3-5,7`; what is no number below `completions` is left out.
pub(super) fn parse(text: &str, completions: i64) -> BTreeSet<i64> {
    let mut found = BTreeSet::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) {
            let last = last.min(completions.saturating_sub(1));
            found.extend(first.max(0)..=last);
        }
    }
    found
}

/// Writes `1,3-5,7`.
pub(super) fn text(indexes: &BTreeSet<i64>) -> String {
    let mut parts: Vec<(i64, i64)> = Vec::new();
    for index in indexes {
        match parts.last_mut() {
            Some((_, last)) if last.saturating_add(1) == *index => *last = *index,
            _ => parts.push((*index, *index)),
        }
    }
    let part = |(first, last): (i64, i64)| {
        if first == last {
            first.to_string()
        } else if first.saturating_add(1) == last {
            format!("{first},{last}")
        } else {
            format!("{first}-{last}")
        }
    };
    let parts: Vec<String> = parts.into_iter().map(part).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms() {
        for list in ["", "0", "0,1", "1-3", "0,2-4,9"] {
            assert_eq!(text(&parse(list, 10)), list);
        }
        assert_eq!(text(&parse("0-99999999999", 4)), "0-3");
        assert_eq!(text(&parse("x,-,3", 4)), "3");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(indexes in proptest::collection::btree_set(0_i64..50, 0..20)) {
            prop_assert_eq!(parse(&text(&indexes), 50), indexes);
        }
    }
}
