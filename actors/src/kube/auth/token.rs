//! Bootstrap tokens: what joining machines authenticate with.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq as _;

use crate::kube::store::Store;

use super::user::{AUTHENTICATED, UserInfo};

const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;
const DEFAULT_GROUP: &str = "system:bootstrappers";
/// Bytes of a group's name after its prefix, at most.
const LONGEST_GROUP: usize = 256;

/// The user of a bootstrap token `id.secret`, if the Secret `kube-system/bootstrap-token-<id>` vouches for it
/// (kubernetes: `plugin/pkg/auth/authenticator/token/bootstrap`). `None` for every other text.
#[must_use]
pub fn bootstrap_token_user(store: &Store, token: &str, now: DateTime<Utc>) -> Option<UserInfo> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if id.len() != ID_LENGTH || secret.len() != SECRET_LENGTH || !plain(id) || !plain(secret) {
        return None;
    }
    let object = store.look_up(
        "",
        "secrets",
        Some("kube-system"),
        &format!("bootstrap-token-{id}"),
    )?;
    if object.is_terminating() || object.read::<String>("type")? != "bootstrap.kubernetes.io/token" {
        return None;
    }
    let data: BTreeMap<String, String> = object.read("data")?;
    let field = |key: &str| {
        data.get(key)
            .and_then(|text| STANDARD.decode(text).ok())
            .unwrap_or_default()
    };
    // All bytes are compared, so that the time does not tell how many are right.
    if !bool::from(field("token-secret").ct_eq(secret.as_bytes())) {
        return None;
    }
    if field("token-id") != id.as_bytes() || field("usage-bootstrap-authentication") != b"true" {
        return None;
    }
    let expiration = field("expiration");
    if !expiration.is_empty() {
        let text = std::str::from_utf8(&expiration).ok()?;
        if DateTime::parse_from_rfc3339(text).ok()? <= now {
            return None;
        }
    }
    let mut groups = BTreeSet::from([DEFAULT_GROUP.to_owned()]);
    let extra = String::from_utf8(field("auth-extra-groups")).ok()?;
    if !extra.is_empty() {
        for group in extra.split(',') {
            if !sound_group(group) {
                return None;
            }
            groups.insert(group.to_owned());
        }
    }
    let mut groups: Vec<String> = groups.into_iter().collect();
    groups.push(AUTHENTICATED.to_owned());
    Some(UserInfo {
        username: format!("system:bootstrap:{id}"),
        groups,
        ..UserInfo::default()
    })
}

/// `system:bootstrappers:` and then small letters, digits, colons and dashes, a letter or digit at the end
/// (kubernetes: `cluster-bootstrap/token/api/types.go`).
fn sound_group(group: &str) -> bool {
    let Some(rest) = group
        .strip_prefix(DEFAULT_GROUP)
        .and_then(|rest| rest.strip_prefix(':'))
    else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    rest.len() <= LONGEST_GROUP
        && rest
            .bytes()
            .all(|byte| plain(byte) || matches!(byte, b':' | b'-'))
        && rest.bytes().last().is_some_and(plain)
}
