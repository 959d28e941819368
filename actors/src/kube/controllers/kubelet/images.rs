//! Names and IDs of images and containers.

use crate::seed::Seed;

/// 64 hexadecimal digits.
pub(super) fn digest(seed: Seed) -> String {
    (0..4)
        .map(|index| format!("{:016x}", seed.indexed(index).value()))
        .collect()
}

/// The full name of an image, and its ID, as containerd tells them.
pub(super) fn image_names(image: &str) -> (String, String) {
    let first = image.split('/').next().unwrap_or("");
    let has_host =
        image.contains('/') && (first.contains('.') || first.contains(':') || first == "localhost");
    let full = if has_host {
        image.to_owned()
    } else if image.contains('/') {
        format!("docker.io/{image}")
    } else {
        format!("docker.io/library/{image}")
    };
    let (repository, fixed) = match full.split_once('@') {
        Some((repository, digest)) => (repository.to_owned(), Some(digest.to_owned())),
        None => (full.clone(), None),
    };
    let last = repository.rfind('/').map_or(0, |slash| slash + 1);
    let colon = repository
        .get(last..)
        .and_then(|name| name.find(':'))
        .map(|colon| last + colon);
    let bare = colon
        .and_then(|colon| repository.get(..colon))
        .unwrap_or(&repository);
    let tagged = if colon.is_some() || fixed.is_some() {
        full
    } else {
        format!("{full}:latest")
    };
    let sum =
        fixed.unwrap_or_else(|| format!("sha256:{}", digest(Seed::root(0).child("image").child(&tagged))));
    let id = format!("{bare}@{sum}");
    (tagged, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_get_their_full_names() {
        assert_eq!(image_names("nginx").0, "docker.io/library/nginx:latest");
        assert_eq!(image_names("a/b:1").0, "docker.io/a/b:1");
        let (name, id) = image_names("registry.k8s.io/coredns/coredns:v1.12.1");
        assert_eq!(name, "registry.k8s.io/coredns/coredns:v1.12.1");
        assert!(id.starts_with("registry.k8s.io/coredns/coredns@sha256:"), "{id}");
        assert_eq!(
            image_names("localhost:5000/x@sha256:ab").1,
            "localhost:5000/x@sha256:ab"
        );
    }
}
