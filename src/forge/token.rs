//! Bootstrap tokens (kubernetes: `cluster-bootstrap/token/api/types.go`): `[a-z0-9]{6}.[a-z0-9]{16}`.

use std::str::FromStr;

use metalsim_actors::node::bmc::Secret;
use ring::rand::{SecureRandom, SystemRandom};

use super::ForgeError;
use super::values::InvalidValue;

/// Lengths of the two parts.
const ID: usize = 6;
const SECRET: usize = 16;
/// What they are made of.
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Bytes from here on would make the first letters more likely: the largest multiple of 36 in a byte.
const FAIR: u8 = 252;
/// Most draws of random bytes; one is nearly always enough.
const MOST_DRAWS: usize = 16;

/// A bootstrap token. It is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapToken(Secret);

impl BootstrapToken {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, ForgeError> {
        let random = SystemRandom::new();
        let mut text = String::with_capacity(ID + 1 + SECRET);
        for _ in 0..MOST_DRAWS {
            let mut bytes = [0; 2 * (ID + SECRET)];
            random.fill(&mut bytes).map_err(|_| ForgeError::Randomness)?;
            for byte in bytes.into_iter().filter(|byte| *byte < FAIR) {
                let letter = ALPHABET.get(usize::from(byte) % ALPHABET.len());
                text.extend(letter.copied().map(char::from));
                match text.len() {
                    ID => text.push('.'),
                    length if length > ID + SECRET => return Ok(Self(Secret::new(&text))),
                    _ => {}
                }
            }
        }
        Err(ForgeError::Randomness)
    }

    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromStr for BootstrapToken {
    type Err = InvalidValue;

    /// Reads a token. The error does not repeat it.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let plain = |part: &str| part.bytes().all(|byte| ALPHABET.contains(&byte));
        match text.split_once('.') {
            Some((id, secret)) if id.len() == ID && secret.len() == SECRET && plain(id) && plain(secret) => {
                Ok(Self(Secret::new(text)))
            }
            _ => Err(InvalidValue::Token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_tokens_have_the_form_and_differ() {
        let tokens: Vec<BootstrapToken> = (0..100).map(|_| BootstrapToken::generate().unwrap()).collect();
        for token in &tokens {
            assert_eq!(token.expose().parse::<BootstrapToken>().unwrap(), *token);
            assert!(!format!("{token:?}").contains(token.expose()));
        }
        assert_ne!(tokens[0], tokens[1]);
        for wrong in [
            "",
            "abcdef",
            "abcdef.0123456789abcde",
            "Abcdef.0123456789abcdef",
            "abcdef.0123456789abcdef0",
        ] {
            assert_eq!(wrong.parse::<BootstrapToken>(), Err(InvalidValue::Token));
        }
    }
}
