//! Values that are given by hand, checked.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Longest DNS label (RFC 1123, 2.1).
const LONGEST_LABEL: usize = 63;
/// Kubernetes' minor version from which on Cluster API writes kubeadm's v1beta4
/// (cluster-api: `bootstrap/kubeadm/types/utils.go`).
const V1BETA4_FROM: u32 = 31;
/// The same for v1beta3, below which nothing is made.
const V1BETA3_FROM: u32 = 22;

/// A value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Not a cluster's name.
    #[error("{0:?} is no name of a cluster: 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends")]
    Name(Box<str>),
    /// Not a version of Kubernetes, or too old.
    #[error("{0:?} is no version of Kubernetes: write v1.MINOR.PATCH, v1.22.0 or later")]
    Version(Box<str>),
    /// Not a node label.
    #[error("{0:?} is no node label: write KEY=VALUE")]
    Label(Box<str>),
    /// Not a time.
    #[error(
        "{0:?} is no time that a token lives: write hours, minutes and seconds, such as 15m or 24h; 0 for ever"
    )]
    Ttl(Box<str>),
    /// Not a bootstrap token. The text may be one but for a letter, so it is not repeated.
    #[error("not a bootstrap token: 6 and 16 of a-z and 0-9 with a dot between them")]
    Token,
    /// Not a subnet.
    #[error("{0:?} is no subnet: write ADDRESS/BITS, and a comma between two of them")]
    Subnet(Box<str>),
    /// Not host and port.
    #[error(transparent)]
    Endpoint(#[from] metalsim_actors::node::os::intent::NotAnEndpoint),
}

/// A cluster's name. It is a DNS label, as Cluster API wants it, so it can be the name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterName(Box<str>);

impl FromStr for ClusterName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = text.starts_with('-') || text.ends_with('-');
        if text.is_empty() || text.len() > LONGEST_LABEL || ends || !text.chars().all(inner) {
            return Err(InvalidValue::Name(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A version of Kubernetes, `v1.34.2`, with whatever stands behind the patch (`-rc.1`, `+build`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesVersion {
    text: Box<str>,
    minor: u32,
}

/// A version of kubeadm's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubeadmApi {
    /// `kubeadm.k8s.io/v1beta3`: arguments are a map.
    V1beta3,
    /// `kubeadm.k8s.io/v1beta4`: arguments are a list.
    V1beta4,
}

impl KubeadmApi {
    /// Group and version.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1beta3 => "kubeadm.k8s.io/v1beta3",
            Self::V1beta4 => "kubeadm.k8s.io/v1beta4",
        }
    }
}

impl Default for KubernetesVersion {
    fn default() -> Self {
        Self {
            text: "v1.34.2".into(),
            minor: 34,
        }
    }
}

impl KubernetesVersion {
    /// The documents that Cluster API writes for it.
    #[must_use]
    pub const fn kubeadm_api(&self) -> KubeadmApi {
        if self.minor >= V1BETA4_FROM {
            KubeadmApi::V1beta4
        } else {
            KubeadmApi::V1beta3
        }
    }
}

impl FromStr for KubernetesVersion {
    type Err = InvalidValue;

    /// Reads `v1.34.2` or `1.34.2`.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let wrong = || InvalidValue::Version(text.into());
        let plain = text.strip_prefix('v').unwrap_or(text);
        let core = plain.split(['-', '+']).next().unwrap_or_default();
        let rest = plain.get(core.len()..).unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-+.".contains(c);
        let mut numbers = core.split('.').map(|number| {
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            number.parse::<u32>().ok().filter(|_| digits)
        });
        let mut next = || numbers.next().flatten();
        match (next(), next(), next()) {
            (Some(1), Some(minor), Some(_))
                if numbers.next().is_none()
                    && minor >= V1BETA3_FROM
                    && rest.len() != 1
                    && rest.chars().all(fits) =>
            {
                Ok(Self {
                    text: format!("v{plain}").into(),
                    minor,
                })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A node label as the kubelet's `--node-labels` takes it. The value may be a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLabel(Box<str>);

impl FromStr for NodeLabel {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text.split_once('=') {
            Some((key, _)) if !key.trim().is_empty() && !text.contains([',', '\n']) => Ok(Self(text.into())),
            _ => Err(InvalidValue::Label(text.into())),
        }
    }
}

impl fmt::Display for NodeLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long a bootstrap token lives, in whole seconds; 0: for ever. It is written as Go writes it: `15m0s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTtl {
    seconds: u32,
}

impl TokenTtl {
    /// Cluster API's (cluster-api: `bootstrap/kubeadm/controllers`, `DefaultTokenTTL`).
    pub const DEFAULT: Self = Self { seconds: 15 * 60 };

    /// In seconds; 0: for ever.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.seconds
    }
}

impl FromStr for TokenTtl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let wrong = || InvalidValue::Ttl(text.into());
        if text == "0" {
            return Ok(Self { seconds: 0 });
        }
        let (mut seconds, mut rest) = (0_u32, text);
        if text.is_empty() {
            return Err(wrong());
        }
        while let Some((number, unit, after)) = rest.find(|c: char| !c.is_ascii_digit()).and_then(|at| {
            let (number, tail) = rest.split_at_checked(at)?;
            let mut letters = tail.chars();
            Some((number, letters.next()?, letters.as_str()))
        }) {
            let scale = match unit {
                'h' => 3600,
                'm' => 60,
                's' => 1,
                _ => return Err(wrong()),
            };
            let number: u32 = number.parse().map_err(|_| wrong())?;
            let part = number.checked_mul(scale).ok_or_else(wrong)?;
            seconds = seconds.checked_add(part).ok_or_else(wrong)?;
            rest = after;
        }
        if rest.is_empty() {
            Ok(Self { seconds })
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for TokenTtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes) = (self.seconds / 3600, self.seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}s", self.seconds % 60)
    }
}

/// A subnet, or two of different families with a comma between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnets(Box<str>);

impl FromStr for Subnets {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let fits = |subnet: &str| {
            let (address, bits) = subnet.split_once('/')?;
            let most = match address.parse().ok()? {
                IpAddr::V4(_) => 32,
                IpAddr::V6(_) => 128,
            };
            bits.parse::<u8>().ok().filter(|bits| *bits <= most)
        };
        if text.split(',').count() > 2 || text.split(',').any(|subnet| fits(subnet).is_none()) {
            return Err(InvalidValue::Subnet(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Subnets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_choose_the_documents() {
        for (text, shown, api) in [
            ("v1.34.2", "v1.34.2", KubeadmApi::V1beta4),
            ("1.31.0", "v1.31.0", KubeadmApi::V1beta4),
            ("v1.30.9", "v1.30.9", KubeadmApi::V1beta3),
            ("v1.31.0-rc.1+x", "v1.31.0-rc.1+x", KubeadmApi::V1beta4),
        ] {
            let version: KubernetesVersion = text.parse().unwrap();
            assert_eq!(
                (version.to_string().as_str(), version.kubeadm_api()),
                (shown, api)
            );
        }
        for wrong in [
            "",
            "v",
            "1.34",
            "v1.34.2.1",
            "v1.21.9",
            "v2.0.0",
            "v1.x.0",
            "latest",
            "v1.+34.0",
            "v1.34.2-",
            "v1.34.2-a b",
        ] {
            let error = wrong.parse::<KubernetesVersion>().unwrap_err();
            assert_eq!(error, InvalidValue::Version(wrong.into()));
        }
    }

    #[test]
    fn times_are_written_as_go_does() {
        for (text, shown) in [
            ("15m", "15m0s"),
            ("24h", "24h0m0s"),
            ("1h30m5s", "1h30m5s"),
            ("90s", "1m30s"),
            ("0", "0s"),
            ("0s", "0s"),
        ] {
            assert_eq!(text.parse::<TokenTtl>().unwrap().to_string(), shown);
        }
        assert_eq!(TokenTtl::DEFAULT.to_string(), "15m0s");
        for wrong in [
            "",
            "15",
            "m",
            "15m3",
            "1d",
            "-5m",
            "9999999999s",
            "4000000000h",
            "1.5h",
            "ü",
        ] {
            assert_eq!(wrong.parse::<TokenTtl>(), Err(InvalidValue::Ttl(wrong.into())));
        }
    }

    #[test]
    fn names_labels_and_subnets_are_checked() {
        for name in ["c", "c1", "my-cluster"] {
            assert_eq!(name.parse::<ClusterName>().unwrap().to_string(), name);
        }
        for wrong in ["", "-a", "a-", "A", "../x", "a.b", &"a".repeat(64)] {
            assert!(wrong.parse::<ClusterName>().is_err(), "{wrong}");
        }
        assert!(
            "metal3.io/uuid={{ ds.meta_data.uuid }}"
                .parse::<NodeLabel>()
                .is_ok()
        );
        for wrong in ["", "a", "=b", "a=b,c=d", "a=b\nc"] {
            assert!(wrong.parse::<NodeLabel>().is_err(), "{wrong}");
        }
        for right in ["10.0.0.0/8", "fd00::/48", "10.1.0.0/16,fd00::/64"] {
            assert_eq!(right.parse::<Subnets>().unwrap().to_string(), right);
        }
        for wrong in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "x/8",
            "10.0.0.0/8,",
            "10.0.0.0/8,10.0.0.0/8,10.0.0.0/8",
        ] {
            assert!(wrong.parse::<Subnets>().is_err(), "{wrong}");
        }
    }
}
