//! The version of Kubernetes that an image holds, read from its name.

use metalsim_actors::kube::version::KubernetesVersion;
use regex::Regex;

/// A pattern whose first group, or whole match, is a version: `UBUNTU_22.04_NODE_IMAGE_K8S_(v[0-9.]+)`.
#[derive(Clone, Debug)]
pub struct ImageVersion(Regex);

impl Default for ImageVersion {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a constant, which a test compiles")]
        Self(Regex::new(Self::DEFAULT).expect("the default pattern"))
    }
}

impl ImageVersion {
    /// A version with a `v`, as the images of Metal3 carry it (metal3-dev-env: `lib/images.sh`).
    pub const DEFAULT: &str = r"v1\.[0-9]+\.[0-9]+";

    /// A pattern.
    ///
    /// # Errors
    /// A text that is no pattern.
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        Regex::new(pattern).map(Self)
    }

    /// The version in the name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<KubernetesVersion> {
        let found = self.0.captures(name)?;
        let text = found.get(1).or_else(|| found.get(0))?.as_str();
        let text = if text.starts_with('v') {
            text.to_owned()
        } else {
            format!("v{text}")
        };
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        let default = ImageVersion::default();
        let text = |pattern: &ImageVersion, name: &str| pattern.find(name).map(|version| version.to_string());
        assert_eq!(
            text(
                &default,
                "http://images/UBUNTU_24.04_NODE_IMAGE_K8S_v1.34.1.qcow2"
            )
            .as_deref(),
            Some("v1.34.1")
        );
        assert_eq!(text(&default, "centos-9.raw"), None);
        let own = ImageVersion::new("k8s-([0-9.]+[0-9])").unwrap();
        assert_eq!(text(&own, "node-k8s-1.33.5.img").as_deref(), Some("v1.33.5"));
        assert!(ImageVersion::new("(").is_err());
    }
}
