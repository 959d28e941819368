//! Multi-part user data (RFC 2046; cloud-init: `cloudinit/user_data.py`).

use super::{MOST_ITEMS, Wanted};

/// Most parts.
const MOST_PARTS: usize = 256;

/// Whether a text with this first line is MIME.
pub(super) fn is_mime(first: &str) -> bool {
    let header = first.to_ascii_lowercase();
    ["content-type:", "mime-version:"]
        .iter()
        .any(|name| header.starts_with(name))
}

/// The bodies of all parts that are no containers, decoded.
pub(super) fn parts(text: &str, wanted: &mut Wanted) -> Vec<Vec<u8>> {
    let parsed = match mailparse::parse_mail(text.as_bytes()) {
        Ok(parsed) => parsed,
        Err(error) => {
            wanted.warn(format!("user data: broken MIME: {error}"));
            return Vec::new();
        }
    };
    let mut bodies = Vec::new();
    for found in parsed.parts().take(MOST_PARTS.min(MOST_ITEMS)) {
        if found.ctype.mimetype.starts_with("multipart/") {
            continue;
        }
        match found.get_body_raw() {
            Ok(body) => bodies.push(body),
            Err(error) => wanted.warn(format!("user data: a part cannot be decoded: {error}")),
        }
    }
    bodies
}
