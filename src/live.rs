//! Live control: what is changed while a run goes on, over the control API. Each change is an event.
//!
//! Changes are made one after the other, so that the events tell them in their order, and so that what faults pick always follows from the
//! newest labels.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metalsim_actors::fault::{Change, Fault, FaultName, FaultSet, Fleet, NodeIndex, NotChanged};
use metalsim_actors::node::Labels;
use metalsim_actors::shell::{AskError, FaultBoard, NodeRef, Shards};

use crate::directory::Directory;
use crate::events::event::FaultChange;
use crate::events::{EventLog, Happening};

/// Most labels of a node.
pub const MOST_LABELS: usize = 64;
/// Longest key or value of a label in bytes.
pub const LONGEST_LABEL: usize = 256;

/// Live control.
pub struct Live {
    directory: Arc<Directory>,
    board: Arc<FaultBoard>,
    events: Arc<EventLog>,
    shards: Shards,
    changing: Mutex<()>,
}

/// Why labels were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLabels {
    /// Too many.
    #[error("a node has at most {MOST_LABELS} labels")]
    TooMany,
    /// A key without text.
    #[error("the key of a label must not be empty")]
    Empty,
    /// A key or value is too long.
    #[error("{0:?} is longer than {LONGEST_LABEL} bytes")]
    TooLong(Box<str>),
}

/// A change of labels.
#[derive(Clone, Debug, PartialEq)]
pub enum Relabelling {
    /// These and no others.
    Set(Labels),
    /// These besides the others; none: without it.
    Merge(Vec<(Box<str>, Option<Box<str>>)>),
}

/// The fleet with the labels of this instant.
struct Snapshot<'a> {
    nodes: &'a [Arc<NodeRef>],
    labels: Vec<Arc<Labels>>,
}

impl Fleet for Snapshot<'_> {
    fn len(&self) -> usize {
        self.nodes.len()
    }

    fn member(&self, index: NodeIndex) -> Option<(&str, &Labels)> {
        let at = index.0 as usize;
        Some((&self.nodes.get(at)?.identity().name, self.labels.get(at)?))
    }
}

impl Live {
    /// Live control of these nodes and faults.
    #[must_use]
    pub fn new(
        directory: Arc<Directory>,
        board: Arc<FaultBoard>,
        events: Arc<EventLog>,
        shards: Shards,
    ) -> Arc<Self> {
        Arc::new(Self {
            directory,
            board,
            events,
            shards,
            changing: Mutex::new(()),
        })
    }

    fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The faults in force.
    #[must_use]
    pub fn faults(&self) -> Arc<FaultSet> {
        self.board.current()
    }

    /// Adds a fault. Looks at each node: not for a thread that serves.
    ///
    /// # Errors
    /// See [`NotChanged`].
    pub fn add(&self, fault: Fault) -> Result<Arc<FaultSet>, NotChanged> {
        let _one = self.one_at_a_time();
        let name = fault.name.clone();
        let after = self.change(Change::Add(fault))?;
        self.tell(FaultChange::Added, Some(&name));
        Ok(after)
    }

    /// Puts a fault in the place of the one with the same name, or adds it. Tells whether it was added. Looks at each node.
    ///
    /// # Errors
    /// See [`NotChanged`].
    pub fn put(&self, fault: Fault) -> Result<(Arc<FaultSet>, bool), NotChanged> {
        let _one = self.one_at_a_time();
        let name = fault.name.clone();
        let is_new = self.faults().get(name.as_str()).is_none();
        let (change, told) = if is_new {
            (Change::Add(fault), FaultChange::Added)
        } else {
            (Change::Replace(fault), FaultChange::Replaced)
        };
        let after = self.change(change)?;
        self.tell(told, Some(&name));
        Ok((after, is_new))
    }

    /// Removes a fault. Looks at each node.
    ///
    /// # Errors
    /// See [`NotChanged`].
    pub fn remove(&self, name: FaultName) -> Result<(), NotChanged> {
        let _one = self.one_at_a_time();
        self.change(Change::Remove(name.clone()))?;
        self.tell(FaultChange::Removed, Some(&name));
        Ok(())
    }

    /// Removes all faults. Looks at each node.
    ///
    /// # Errors
    /// See [`NotChanged`].
    pub fn remove_all(&self) -> Result<(), NotChanged> {
        let _one = self.one_at_a_time();
        self.change(Change::Set(Vec::new()))?;
        self.tell(FaultChange::Reset, None);
        Ok(())
    }

    fn change(&self, change: Change) -> Result<Arc<FaultSet>, NotChanged> {
        let nodes = self.directory.nodes();
        let fleet = Snapshot {
            labels: nodes.iter().map(|node| self.directory.labels(node)).collect(),
            nodes,
        };
        metalsim_actors::shell::Fleet::change_faults(nodes, &self.board, change, &fleet)
    }

    fn tell(&self, change: FaultChange, fault: Option<&FaultName>) {
        self.events.publish(Happening::FaultChanged {
            change,
            fault: fault.map(|name| name.as_str().into()),
        });
    }

    /// Changes the labels of a node, and with them which nodes the faults pick. Answers with all of its labels. Looks at each node if
    /// there are faults.
    ///
    /// # Errors
    /// See [`BadLabels`]; nothing has changed.
    pub fn relabel(&self, node: &NodeRef, change: Relabelling) -> Result<Arc<Labels>, BadLabels> {
        let _one = self.one_at_a_time();
        let before = self.directory.labels(node);
        let labels = match change {
            Relabelling::Set(labels) => labels,
            Relabelling::Merge(changes) => {
                let mut labels = Labels::clone(&before);
                for (key, value) in changes {
                    match value {
                        Some(value) => labels.insert(key, value),
                        None => labels.remove(&key),
                    };
                }
                labels
            }
        };
        check(&labels)?;
        let labels = Arc::new(labels);
        if labels == before {
            return Ok(labels);
        }
        self.directory.relabel(node, Arc::clone(&labels));
        if !self.faults().is_empty()
            && let Err(error) = self.change(Change::Fleet)
        {
            tracing::error!(%error, "the faults do not follow the labels");
        }
        self.events.publish(Happening::NodeLabels {
            node: node.identity().name.clone(),
            labels: Labels::clone(&labels),
        });
        Ok(labels)
    }

    /// Ends the actor of a node, and has it started again.
    ///
    /// # Errors
    /// `Busy`, or `Gone` while the process stops.
    pub async fn kill(&self, node: &Arc<NodeRef>) -> Result<(), AskError> {
        node.kill().await?;
        self.events.publish(Happening::ActorKilled {
            node: node.identity().name.clone(),
        });
        self.shards.revive(node).await;
        Ok(())
    }
}

fn check(labels: &Labels) -> Result<(), BadLabels> {
    if labels.len() > MOST_LABELS {
        return Err(BadLabels::TooMany);
    }
    for (key, value) in labels {
        if key.is_empty() {
            return Err(BadLabels::Empty);
        }
        if let Some(long) = [key, value].into_iter().find(|text| text.len() > LONGEST_LABEL) {
            return Err(BadLabels::TooLong(long.chars().take(32).collect()));
        }
    }
    Ok(())
}
