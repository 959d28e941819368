//! Who may use the service: one account, the accounts of an htpasswd file, or everybody.
//!
//! A bcrypt check takes up to a quarter of a second of processor time by design, so a pair of name and password that
//! was right is remembered under a keyed hash, and only a few checks run at once: clients with wrong passwords wait
//! for each other, not the rest of the program for them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::header::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

/// Pairs of name and password that are remembered; when there are more, all are forgotten.
const MOST_REMEMBERED: usize = 1024;
/// Checks that run at once, and that may wait for their turn.
const CHECKS_AT_ONCE: usize = 2;
const MOST_WAITING: usize = 64;
/// Longest name and password; bcrypt itself looks at 72 bytes of a password.
const LONGEST_CREDENTIAL: usize = 512;

/// How credentials are checked.
pub struct Auth {
    accounts: Accounts,
    key: [u8; 32],
    remembered: Mutex<HashSet<[u8; 32]>>,
    checks: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

enum Accounts {
    /// No credentials are asked for.
    Open,
    /// Keyed hash of the one pair.
    Single { username: Box<str>, digest: [u8; 32] },
    /// bcrypt hash by name.
    Hashed(HashMap<Box<str>, Box<str>>),
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are right.
    Accepted,
    /// They are wrong.
    Refused,
    /// Too many checks are waiting.
    Busy,
}

impl Auth {
    /// Everybody may do everything; sessions can still be opened, with any name.
    #[must_use]
    pub fn open() -> Self {
        Self::with(|_| Accounts::Open)
    }

    /// One account.
    #[must_use]
    pub fn single(username: &str, password: &str) -> Self {
        Self::with(|key| Accounts::Single {
            username: username.into(),
            digest: digest(key, username, password),
        })
    }

    /// Accounts of an htpasswd file: name and bcrypt hash (`$2y$`, `$2a$` or `$2b$`).
    #[must_use]
    pub fn htpasswd<'a>(accounts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let accounts = accounts
            .into_iter()
            .map(|(name, hash)| (name.into(), hash.into()))
            .collect();
        Self::with(|_| Accounts::Hashed(accounts))
    }

    fn with(accounts: impl FnOnce(&[u8; 32]) -> Accounts) -> Self {
        let key = random_bytes();
        Self {
            accounts: accounts(&key),
            key,
            remembered: Mutex::default(),
            checks: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
        }
    }

    /// Whether credentials are asked for.
    #[must_use]
    pub fn is_required(&self) -> bool {
        !matches!(self.accounts, Accounts::Open)
    }

    /// Names of the accounts, sorted.
    #[must_use]
    pub fn usernames(&self) -> Vec<&str> {
        match &self.accounts {
            Accounts::Open => Vec::new(),
            Accounts::Single { username, .. } => vec![username],
            Accounts::Hashed(accounts) => {
                let mut names: Vec<&str> = accounts.keys().map(|name| &**name).collect();
                names.sort_unstable();
                names
            }
        }
    }

    /// Checks the value of an `Authorization` header.
    pub(super) async fn check_header(&self, header: &HeaderValue) -> Verdict {
        match basic_credentials(header) {
            Some((username, password)) => self.check(&username, &password).await,
            None => Verdict::Refused,
        }
    }

    /// Checks name and password.
    pub(super) async fn check(&self, username: &str, password: &str) -> Verdict {
        if username.len() > LONGEST_CREDENTIAL || password.len() > LONGEST_CREDENTIAL {
            return Verdict::Refused;
        }
        let verdict = |accepted| {
            if accepted {
                Verdict::Accepted
            } else {
                Verdict::Refused
            }
        };
        let shown = match &self.accounts {
            Accounts::Open => return Verdict::Accepted,
            Accounts::Single { digest: right, .. } => {
                return verdict(equal(right, &digest(&self.key, username, password)));
            }
            Accounts::Hashed(_) => digest(&self.key, username, password),
        };
        if self.remembered().contains(&shown) {
            return Verdict::Accepted;
        }
        let Accounts::Hashed(accounts) = &self.accounts else {
            return Verdict::Refused;
        };
        let known = accounts.get(username);
        // An unknown name takes as long as a wrong password, so that names cannot be found out by the clock.
        let Some(hash) = known.or_else(|| accounts.values().next()) else {
            return Verdict::Refused;
        };
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return Verdict::Busy;
        };
        let Ok(permit) = Arc::clone(&self.checks).acquire_owned().await else {
            return Verdict::Busy;
        };
        // Another request may have checked the same pair meanwhile.
        if self.remembered().contains(&shown) {
            return Verdict::Accepted;
        }
        let (hash, password) = (hash.clone(), password.to_owned());
        let check = tokio::task::spawn_blocking(move || {
            // Held by the check itself: a client that goes away does not make room for another one.
            let _permit = permit;
            bcrypt::verify(password.as_bytes(), &hash).unwrap_or(false)
        });
        let accepted = check.await.unwrap_or(false) && known.is_some();
        if accepted {
            let mut remembered = self.remembered();
            if remembered.len() >= MOST_REMEMBERED {
                remembered.clear();
            }
            remembered.insert(shown);
        }
        verdict(accepted)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Name and password of an `Authorization: Basic` header.
fn basic_credentials(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

/// Keyed, with the length of the name, so that no two pairs give the same bytes.
fn digest(key: &[u8; 32], username: &str, password: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update((username.len() as u64).to_be_bytes());
    hash.update(username);
    hash.update(password);
    hash.finalize().into()
}

/// The hash under which a session's token is kept.
pub(super) fn token_digest(key: &[u8; 32], token: &str) -> [u8; 32] {
    digest(key, "", token)
}

/// In a time that does not depend on where they differ.
fn equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// 32 bytes from the operating system's generator.
#[expect(clippy::disallowed_methods, reason = "secrets must not follow from the seed")]
pub(super) fn random_bytes() -> [u8; 32] {
    // Each UUID has 122 random bits; hashing spreads the fixed ones.
    let mut hash = Sha256::new();
    for _ in 0..4 {
        hash.update(uuid::Uuid::new_v4().as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(pair: &str) -> HeaderValue {
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).unwrap()
    }

    #[actix_web::test]
    async fn the_single_account() {
        let auth = Auth::single("admin", "s3cret:x");
        assert_eq!(
            auth.check_header(&basic("admin:s3cret:x")).await,
            Verdict::Accepted
        );
        for wrong in [
            "admin:",
            "admin:s3cret",
            "a:dmins3cret:x",
            "admin",
            ":",
            "Admin:s3cret:x",
        ] {
            assert_eq!(
                auth.check_header(&basic(wrong)).await,
                Verdict::Refused,
                "{wrong}"
            );
        }
        for header in ["Basic", "Basic !!!", "Bearer abc", ""] {
            let header = HeaderValue::from_str(header).unwrap();
            assert_eq!(auth.check_header(&header).await, Verdict::Refused);
        }
    }

    #[actix_web::test]
    async fn accounts_of_an_htpasswd_file() {
        let hash = bcrypt::hash("s3cret", 4).unwrap();
        let apache = hash.replacen("$2b$", "$2y$", 1);
        let auth = Auth::htpasswd([("one", hash.as_str()), ("two", apache.as_str())]);
        assert_eq!(auth.check("one", "s3cret").await, Verdict::Accepted);
        assert_eq!(auth.check("two", "s3cret").await, Verdict::Accepted);
        assert_eq!(auth.remembered().len(), 2);
        assert_eq!(auth.check("two", "s3cret").await, Verdict::Accepted);
        assert_eq!(auth.check("two", "wrong").await, Verdict::Refused);
        assert_eq!(auth.check("three", "s3cret").await, Verdict::Refused);
        assert_eq!(auth.remembered().len(), 2);
        assert_eq!(auth.usernames(), ["one", "two"]);
    }

    #[actix_web::test]
    async fn checks_that_wait_are_bounded() {
        let auth = Auth::htpasswd([("one", "$2y$04$broken")]);
        let all = auth.waiting.acquire_many(64).await.unwrap();
        assert_eq!(auth.check("one", "x").await, Verdict::Busy);
        drop(all);
        assert_eq!(auth.check("one", "x").await, Verdict::Refused);
    }
}
