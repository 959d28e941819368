//! The version of Kubernetes that a cluster shows: `/version`.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A version of Kubernetes, `v1.34.2`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KubernetesVersion {
    major: u32,
    minor: u32,
    patch: u32,
    /// What follows: `-rc.1`, `+k3s1`.
    rest: Box<str>,
}

/// A text that is no version.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no version of Kubernetes: write it like v1.34.2")]
pub struct NoVersion(String);

/// The release that the API is modelled on.
impl Default for KubernetesVersion {
    fn default() -> Self {
        Self {
            major: 1,
            minor: 34,
            patch: 2,
            rest: "".into(),
        }
    }
}

impl KubernetesVersion {
    /// Major and minor number.
    #[must_use]
    pub const fn minor(&self) -> (u32, u32) {
        (self.major, self.minor)
    }

    /// What `/version` answers (apimachinery: `version/types.go`).
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            major: self.major.to_string(),
            minor: self.minor.to_string(),
            emulation_major: self.major.to_string(),
            emulation_minor: self.minor.to_string(),
            min_compatibility_major: self.major.to_string(),
            min_compatibility_minor: self.minor.saturating_sub(1).to_string(),
            git_version: self.to_string(),
            // 40 digits that stand for this version and for no commit.
            git_commit: format!(
                "{:032x}{:08x}",
                u128::from(self.minor) << 64 | u128::from(self.patch),
                self.major
            ),
            git_tree_state: "clean",
            build_date: "2025-11-11T19:05:01Z",
            go_version: "go1.24.9",
            compiler: "gc",
            platform: "linux/amd64",
        }
    }
}

/// `/version`.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    major: String,
    minor: String,
    emulation_major: String,
    emulation_minor: String,
    min_compatibility_major: String,
    min_compatibility_minor: String,
    git_version: String,
    git_commit: String,
    git_tree_state: &'static str,
    build_date: &'static str,
    go_version: &'static str,
    compiler: &'static str,
    platform: &'static str,
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}{}", self.major, self.minor, self.patch, self.rest)
    }
}

impl FromStr for KubernetesVersion {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let refuse = || NoVersion(text.to_owned());
        let plain = text.strip_prefix('v').unwrap_or(text);
        let end = plain.find(['-', '+']).unwrap_or(plain.len());
        let (numbers, rest) = plain.split_at(end);
        let sane = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '+' | '.');
        if rest.len() > 64 || !rest.chars().all(sane) {
            return Err(refuse());
        }
        let mut parts = numbers.split('.');
        let mut number = || {
            let part = parts.next()?;
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u32>().ok()).flatten()
        };
        match (number(), number(), number(), parts.next()) {
            (Some(major), Some(minor), Some(patch), None) => Ok(Self {
                major,
                minor,
                patch,
                rest: rest.into(),
            }),
            _ => Err(refuse()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let version: KubernetesVersion = "v1.34.2".parse().unwrap();
        assert_eq!(version.to_string(), "v1.34.2");
        assert_eq!(
            "1.33.0-rc.1".parse::<KubernetesVersion>().unwrap().minor(),
            (1, 33)
        );
        assert!("v1.9.0".parse::<KubernetesVersion>().unwrap() < version);
        assert_eq!(version.info().git_commit.len(), 40);
        for wrong in ["", "v1", "1.2", "v1.2.x", "v1.2.3.4", "v1.2.3-\n"] {
            assert!(wrong.parse::<KubernetesVersion>().is_err(), "{wrong}");
        }
    }
}
