//! Sessions: bounded in number, ended by time or by the client.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metalsim_actors::time::SimInstant;

use super::auth::{random_bytes, token_digest};
use crate::clock::Stopwatch;

/// The sessions of a service. Tokens are kept only as keyed hashes, so comparing them tells nothing by its time.
pub struct SessionStore {
    key: [u8; 32],
    timeout: Duration,
    most: usize,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    by_token: HashMap<[u8; 32], Session>,
    by_id: HashMap<Box<str>, [u8; 32]>,
}

struct Session {
    id: Box<str>,
    username: Box<str>,
    opened: SimInstant,
    unused: Stopwatch,
}

/// A session that was just opened.
pub(super) struct Opened {
    /// Last segment of its URI.
    pub(super) id: Box<str>,
    /// The token, in hexadecimal; told once.
    pub(super) token: String,
}

impl SessionStore {
    /// A session ends when it was unused for `timeout` of real time; there are at most `most`.
    #[must_use]
    pub fn new(timeout: Duration, most: usize) -> Self {
        Self {
            key: random_bytes(),
            timeout,
            most,
            sessions: Mutex::default(),
        }
    }

    /// `SessionTimeout`, in seconds.
    pub(super) fn timeout_seconds(&self) -> u64 {
        self.timeout.as_secs()
    }

    /// Opens one at `now`. `None`: there are as many as may be, none of them expired.
    pub(super) fn open(&self, username: &str, now: SimInstant) -> Option<Opened> {
        let token = hex(&random_bytes());
        let id: Box<str> = hex(&random_bytes()[..5]).into();
        let mut sessions = self.lock();
        if sessions.by_token.len() >= self.most {
            let timeout = self.timeout;
            let Sessions { by_token, by_id } = &mut *sessions;
            by_token.retain(|_, session| session.unused.elapsed() < timeout);
            by_id.retain(|_, digest| by_token.contains_key(digest));
            if by_token.len() >= self.most {
                return None;
            }
        }
        let digest = token_digest(&self.key, &token);
        sessions.by_id.insert(id.clone(), digest);
        let session = Session {
            id: id.clone(),
            username: username.into(),
            opened: now,
            unused: Stopwatch::start(),
        };
        sessions.by_token.insert(digest, session);
        drop(sessions);
        Some(Opened { id, token })
    }

    /// Whether the token opens the door. Using a session keeps it.
    pub(super) fn check(&self, token: &str) -> bool {
        let digest = token_digest(&self.key, token);
        let mut sessions = self.lock();
        let Some(session) = sessions.by_token.get_mut(&digest) else {
            return false;
        };
        if session.unused.elapsed() < self.timeout {
            session.unused = Stopwatch::start();
            return true;
        }
        let id = session.id.clone();
        sessions.by_token.remove(&digest);
        sessions.by_id.remove(&id);
        false
    }

    /// When the session of this token was opened. Asking does not keep it.
    pub(super) fn opened(&self, token: &str) -> Option<SimInstant> {
        let digest = token_digest(&self.key, token);
        let sessions = self.lock();
        let session = sessions.by_token.get(&digest)?;
        (session.unused.elapsed() < self.timeout).then_some(session.opened)
    }

    /// Ends the session of this token, if there is one.
    pub(super) fn end(&self, token: &str) {
        let digest = token_digest(&self.key, token);
        let mut sessions = self.lock();
        if let Some(session) = sessions.by_token.remove(&digest) {
            sessions.by_id.remove(&session.id);
        }
    }

    /// Ends one. `false`: there is none with that id.
    pub(super) fn close(&self, id: &str) -> bool {
        let mut sessions = self.lock();
        let Some(digest) = sessions.by_id.remove(id) else {
            return false;
        };
        let session = sessions.by_token.remove(&digest);
        session.is_some_and(|session| session.unused.elapsed() < self.timeout)
    }

    /// Name of the user of one.
    pub(super) fn username(&self, id: &str) -> Option<Box<str>> {
        let sessions = self.lock();
        let session = sessions.by_token.get(sessions.by_id.get(id)?)?;
        (session.unused.elapsed() < self.timeout).then(|| session.username.clone())
    }

    /// Ids of all, sorted.
    pub(super) fn ids(&self) -> Vec<Box<str>> {
        let sessions = self.lock();
        let mut ids: Vec<Box<str>> = sessions
            .by_token
            .values()
            .filter(|session| session.unused.elapsed() < self.timeout)
            .map(|session| session.id.clone())
            .collect();
        drop(sessions);
        ids.sort_unstable();
        ids
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lives_until_it_is_closed() {
        let store = SessionStore::new(Duration::from_secs(60), 10);
        let session = store.open("admin", SimInstant::START).unwrap();
        assert_eq!(session.token.len(), 64);
        assert!(store.check(&session.token));
        assert!(!store.check("0000"));
        assert_eq!(store.username(&session.id).as_deref(), Some("admin"));
        assert!(store.close(&session.id));
        assert!(!store.close(&session.id));
        assert!(!store.check(&session.token));
        assert!(store.ids().is_empty());
    }

    #[test]
    fn a_session_that_is_ended_by_its_token_is_gone() {
        let store = SessionStore::new(Duration::from_secs(60), 10);
        let opened = SimInstant::START + Duration::from_secs(5);
        let session = store.open("admin", opened).unwrap();
        assert_eq!(store.opened(&session.token), Some(opened));
        store.end("0000");
        store.end(&session.token);
        assert_eq!(store.opened(&session.token), None);
        assert!(!store.check(&session.token));
        assert_eq!(store.username(&session.id), None);
        assert!(!store.close(&session.id));
    }

    #[test]
    fn a_session_that_is_not_used_expires() {
        let store = SessionStore::new(Duration::ZERO, 10);
        let session = store.open("admin", SimInstant::START).unwrap();
        assert!(!store.check(&session.token));
        assert_eq!(store.username(&session.id), None);
    }

    #[test]
    fn the_number_is_bounded_and_expired_ones_make_room() {
        let store = SessionStore::new(Duration::from_secs(60), 1);
        assert!(store.open("a", SimInstant::START).is_some());
        assert!(store.open("b", SimInstant::START).is_none());
        let store = SessionStore::new(Duration::ZERO, 1);
        assert!(store.open("a", SimInstant::START).is_some());
        assert!(store.open("b", SimInstant::START).is_some());
        assert_eq!(store.lock().by_id.len(), 1);
    }
}
