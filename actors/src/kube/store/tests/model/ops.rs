//! Random steps.

use super::*;

/// A random step.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Create {
        at: Slot,
        payload: u8,
        changes: Vec<Change>,
        generate: bool,
        rehearse: bool,
    },
    Write {
        at: Slot,
        way: Way,
        changes: Vec<Change>,
        version: Stated,
        uid: Stated,
        rehearse: bool,
    },
    Status {
        at: Slot,
        way: Way,
        value: u8,
    },
    Scale {
        at: Slot,
        replicas: u8,
        version: Stated,
    },
    Apply {
        at: Slot,
        manager: usize,
        force: bool,
        fields: u8,
        value: u8,
        rehearse: bool,
    },
    Delete {
        at: Slot,
        grace: Option<i64>,
        propagation: Option<Propagation>,
        version: Stated,
        uid: Stated,
        rehearse: bool,
    },
    DeleteCollection {
        of: Selection,
        limit: usize,
        propagation: Option<Propagation>,
    },
    MakeNamespace(usize),
    DropNamespace(usize),
    Settle,
    Compact(u64),
    List {
        of: Selection,
        limit: usize,
        at: At,
    },
    Continue(usize),
    Watch {
        of: Selection,
        at: At,
        initial: Option<bool>,
        bookmarks: bool,
    },
    Poll(usize, usize),
}

fn propagation() -> impl Strategy<Value = Option<Propagation>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(Propagation::Background)),
        1 => Just(Some(Propagation::Foreground)),
        1 => Just(Some(Propagation::Orphan)),
    ]
}

pub(super) fn write_op() -> impl Strategy<Value = Op> {
    let slot = || writes::slot(0..WRITTEN);
    let taken = || writes::taken(0..WRITTEN);
    let changes = || prop::collection::vec(change::change(), 0..3);
    let stated = writes::stated;
    let rehearse = || prop::bool::weighted(0.3);
    prop_oneof![
        12 => (slot(), 0..4_u8, changes(), prop::bool::weighted(0.1), rehearse()).prop_map(|(at, payload, changes, generate, rehearse)|
            Op::Create { at, payload, changes, generate, rehearse }),
        14 => (taken(), change::way(), changes(), stated(), stated(), rehearse()).prop_map(|(at, way, changes, version, uid, rehearse)|
            Op::Write { at, way, changes, version, uid, rehearse }),
        2 => (taken(), change::way(), 0..3_u8).prop_map(|(at, way, value)| Op::Status { at, way, value }),
        1 => (taken(), 0..3_u8, stated()).prop_map(|(at, replicas, version)| Op::Scale { at, replicas, version }),
        5 => (taken(), 0..3_usize, any::<bool>(), any::<u8>(), 0..3_u8, rehearse()).prop_map(|(at, manager, force, fields, value, rehearse)|
            Op::Apply { at, manager, force, fields, value, rehearse }),
        5 => (taken(), prop::option::weighted(0.3, prop_oneof![Just(0), Just(5), Just(60), Just(-1)]), propagation(), stated(), stated(), rehearse())
            .prop_map(|(at, grace, propagation, version, uid, rehearse)| Op::Delete { at, grace, propagation, version, uid, rehearse }),
        1 => (reads::selection(0..WRITTEN), 0..3_usize, propagation()).prop_map(|(of, limit, propagation)| Op::DeleteCollection { of, limit, propagation }),
        1 => (1..3_usize).prop_map(Op::MakeNamespace),
        1 => (0..3_usize).prop_map(Op::DropNamespace),
        2 => Just(Op::Settle),
        1 => (0..30_u64).prop_map(Op::Compact),
    ]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let selection = || reads::selection(0..KINDS.len());
    prop_oneof![
        10 => write_op(),
        2 => (selection(), 0..4_usize, reads::at_version()).prop_map(|(of, limit, at)| Op::List { of, limit, at }),
        2 => any::<usize>().prop_map(Op::Continue),
        1 => (selection(), reads::at_version(), prop_oneof![Just(None), Just(Some(true)), Just(Some(false))], any::<bool>())
            .prop_map(|(of, at, initial, bookmarks)| Op::Watch { of, at, initial, bookmarks }),
        2 => (any::<usize>(), 1..5_usize).prop_map(|(which, most)| Op::Poll(which, most)),
    ]
}
