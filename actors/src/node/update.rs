//! Firmware updates: the tasks of the BMC, and the versions that they leave.
//!
//! The image is not fetched: its name says which version it brings. The firmware of the BMC is another one when the task is done, that of the
//! host after a self test since the task began, as real services stage it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::profile::HardwareProfile;
use crate::seed::Seed;
use crate::time::SimInstant;

/// Tasks that are kept; the oldest goes first.
pub const TASKS: usize = 8;
/// Longest version that is taken from the name of an image.
const LONGEST_VERSION: usize = 32;

/// What has firmware of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// The host's firmware.
    Bios,
    /// The management controller's.
    Bmc,
}

impl Component {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Bios, Self::Bmc];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bios => "BIOS",
            Self::Bmc => "BMC",
        }
    }

    /// What an image is for, by its name: a real service reads it in the image.
    #[must_use]
    pub fn of_image(uri: &str) -> Self {
        let name = file_name(uri).to_ascii_lowercase();
        let of_bmc = ["bmc", "idrac", "ilo", "xcc", "manager"];
        if of_bmc.iter().any(|word| name.contains(word)) {
            Self::Bmc
        } else {
            Self::Bios
        }
    }
}

/// Where a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It runs.
    Running {
        /// What it takes.
        takes: Duration,
        /// How it ends.
        end: End,
    },
    /// It is done.
    Completed {
        /// Since when.
        at: SimInstant,
    },
    /// It failed.
    Exception {
        /// When.
        at: SimInstant,
        /// Why; none: nobody knows.
        message: Option<Box<str>>,
    },
}

/// How a task that runs ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Well.
    Well,
    /// With an exception.
    Badly(Option<Box<str>>),
    /// Not at all.
    Never,
}

/// A firmware update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number, from 1: no two of a node have the same.
    pub number: u32,
    /// Of what.
    pub component: Component,
    /// URI of the image.
    pub image: Arc<str>,
    /// When it began.
    pub begun: SimInstant,
    /// How far it is.
    pub progress: Progress,
    /// The host went through a self test since it began.
    pub(super) tested: bool,
}

impl Task {
    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.progress, Progress::Running { .. })
    }

    /// When it ends by itself.
    fn deadline(&self) -> Option<SimInstant> {
        match &self.progress {
            Progress::Running { end: End::Never, .. } => None,
            Progress::Running { takes, .. } => Some(self.begun + *takes),
            Progress::Completed { .. } | Progress::Exception { .. } => None,
        }
    }

    /// `PercentComplete`, from 0 to 100. A task that never ends stays below 100.
    #[must_use]
    pub fn percent(&self, now: SimInstant) -> u8 {
        match &self.progress {
            Progress::Running { takes, .. } => {
                let takes = takes.as_millis().max(1);
                let done = now.since(self.begun).as_millis().saturating_mul(100) / takes;
                u8::try_from(done.min(99)).unwrap_or(99)
            }
            Progress::Completed { .. } => 100,
            // It failed at its very end.
            Progress::Exception { .. } => 99,
        }
    }
}

/// The firmware of a node that was ever updated, and the tasks that did it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Updates {
    tasks: VecDeque<Task>,
    count: u32,
    bios: Option<Arc<str>>,
    /// In force after the next self test.
    staged: Option<Arc<str>>,
    bmc: Option<Arc<str>>,
}

impl Updates {
    /// The tasks, oldest first.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.tasks.iter()
    }

    /// A version other than the profile's.
    pub(super) fn version(&self, component: Component) -> Option<&Arc<str>> {
        match component {
            Component::Bios => self.bios.as_ref(),
            Component::Bmc => self.bmc.as_ref(),
        }
    }

    /// When a task ends.
    pub(super) fn deadline(&self) -> Option<SimInstant> {
        self.tasks.iter().filter_map(Task::deadline).min()
    }

    /// Begins a task and answers with its number.
    pub(super) fn begin(
        &mut self,
        now: SimInstant,
        (component, image): (Component, Arc<str>),
        (takes, end): (Duration, End),
    ) -> u32 {
        if self.tasks.len() == TASKS {
            self.tasks.pop_front();
        }
        self.count += 1;
        self.tasks.push_back(Task {
            number: self.count,
            component,
            image,
            begun: now,
            progress: Progress::Running { takes, end },
            tested: false,
        });
        self.count
    }

    /// Ends the tasks that are due at `now`, and answers with them.
    pub(super) fn finish(&mut self, now: SimInstant, profile: &HardwareProfile) -> Vec<Task> {
        let mut finished = Vec::new();
        for at in 0..self.tasks.len() {
            let Some(task) = self
                .tasks
                .get_mut(at)
                .filter(|task| task.deadline().is_some_and(|due| due <= now))
            else {
                continue;
            };
            let message = match &task.progress {
                Progress::Running {
                    end: End::Badly(message),
                    ..
                } => Some(message.clone()),
                _ => None,
            };
            task.progress = match message {
                Some(message) => Progress::Exception { at: now, message },
                None => Progress::Completed { at: now },
            };
            let task = task.clone();
            if matches!(task.progress, Progress::Completed { .. }) {
                self.install(&task, profile);
            }
            finished.push(task);
        }
        finished
    }

    fn install(&mut self, task: &Task, profile: &HardwareProfile) {
        let current = match task.component {
            Component::Bios => self.bios.as_deref().unwrap_or(&profile.bios.version),
            Component::Bmc => self.bmc.as_deref().unwrap_or(&profile.bmc.firmware_version),
        };
        let version = version_of(&task.image, current);
        match task.component {
            Component::Bmc => self.bmc = Some(version),
            Component::Bios if task.tested => {
                self.bios = Some(version);
                self.staged = None;
            }
            Component::Bios => self.staged = Some(version),
        }
    }

    /// The host is at the end of its self test: what was staged is in force.
    pub(super) fn self_tested(&mut self) {
        for task in self.tasks.iter_mut().filter(|task| task.is_running()) {
            task.tested = true;
        }
        if let Some(staged) = self.staged.take() {
            self.bios = Some(staged);
        }
    }

    /// Forgets a task; one that runs is called off. Answers whether it was there.
    pub(super) fn remove(&mut self, number: u32) -> bool {
        let before = self.tasks.len();
        self.tasks.retain(|task| task.number != number);
        self.tasks.len() < before
    }
}

/// The last segment of a URI's path.
fn file_name(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    path.rsplit('/').next().unwrap_or(path)
}

/// The version that an image brings: the first numbers in its name with dots between them, or one that follows from the present version and
/// the whole URI.
fn version_of(uri: &str, current: &str) -> Arc<str> {
    let name = file_name(uri);
    let runs = name.split(|c: char| !c.is_ascii_digit() && c != '.');
    let dotted = runs
        .map(|run| run.trim_matches('.'))
        .find(|run| run.contains('.') && !run.contains("..") && run.len() <= LONGEST_VERSION);
    match dotted {
        Some(version) => version.into(),
        None => {
            let base = current.split('+').next().unwrap_or(current);
            let drawn = Seed::root(0).child(current).child(uri).value();
            format!("{base}+{:08x}", drawn >> 32).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_from_the_image() {
        for (uri, version) in [
            ("http://h/1.2/bios-2.20.1.bin", "2.20.1"),
            ("http://h/BIOS_9XTV2_WN64_2.21.2_01.EXE?token=3.4", "2.21.2"),
            ("http://h/U30_2.76_02_09_2023.signed.flash", "2.76"),
            ("http://h/fw1.2.3", "1.2.3"),
        ] {
            assert_eq!(&*version_of(uri, "1.0"), version, "{uri}");
        }
        let one = version_of("http://h/latest/bios.bin", "1.0");
        assert!(one.starts_with("1.0+") && one.len() == 12, "{one}");
        assert_eq!(one, version_of("http://h/latest/bios.bin", "1.0"));
        assert_ne!(one, version_of("http://h/older/bios.bin", "1.0"));
        let two = version_of("http://h/latest/bios.bin", &one);
        assert!(two.starts_with("1.0+") && two.len() == 12 && two != one, "{two}");
    }

    #[test]
    fn components_follow_from_the_image() {
        for (uri, component) in [
            ("http://bmc/bios-1.0.bin", Component::Bios),
            ("http://h/x.bin", Component::Bios),
            ("http://h/OpenBMC-2.9.tar", Component::Bmc),
            ("http://h/iDRAC-with-Lifecycle.EXE", Component::Bmc),
        ] {
            assert_eq!(Component::of_image(uri), component, "{uri}");
        }
    }

    #[test]
    fn the_newest_tasks_are_kept() {
        let mut updates = Updates::default();
        for number in 1..=20 {
            let what = (Component::Bmc, "http://h/x".into());
            let given = updates.begin(SimInstant::START, what, (Duration::from_secs(1), End::Never));
            assert_eq!(given, number);
        }
        assert_eq!(updates.tasks().count(), TASKS);
        assert_eq!(updates.tasks().next_back().map(|task| task.number), Some(20));
        assert!(updates.remove(20) && !updates.remove(20) && !updates.remove(1));
    }
}
