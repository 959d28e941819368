//! Multi-part user data (RFC 2046; cloud-init: `cloudinit/user_data.py`).

use mail_parser::{HeaderValue, MessageParser, PartType};

use super::Wanted;

/// Most parts.
const MOST_PARTS: usize = 256;

/// A part that is no container, decoded.
pub(super) struct Part {
    pub(super) content: Vec<u8>,
    /// `Merge-Type`: how its cloud-config joins those before it.
    pub(super) merge: Option<String>,
}

/// Whether a text with this first line is MIME.
pub(super) fn is_mime(first: &str) -> bool {
    let header = first.to_ascii_lowercase();
    ["content-type:", "mime-version:"]
        .iter()
        .any(|name| header.starts_with(name))
}

/// All parts that are no containers.
pub(super) fn parts(text: &str, wanted: &mut Wanted) -> Vec<Part> {
    let Some(message) = MessageParser::default().parse(text) else {
        wanted.warn("user data: broken MIME");
        return Vec::new();
    };
    if message.parts.len() > MOST_PARTS {
        wanted.warn(format!("user data: more than {MOST_PARTS} parts"));
    }
    let mut parts = Vec::new();
    for part in message.parts.iter().take(MOST_PARTS) {
        let content = match &part.body {
            PartType::Text(text) | PartType::Html(text) => text.as_bytes().to_vec(),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.to_vec(),
            PartType::Message(_) => {
                wanted.warn("user data: a message in a message is not read");
                continue;
            }
            PartType::Multipart(_) => continue,
        };
        let merge = part.headers.iter().find_map(|header| {
            let named = ["merge-type", "x-merge-type"]
                .iter()
                .any(|name| header.name.as_str().eq_ignore_ascii_case(name));
            match &header.value {
                HeaderValue::Text(text) if named => Some(text.trim().to_owned()),
                _ => None,
            }
        });
        parts.push(Part { content, merge });
    }
    parts
}
