//! Private keys.

use std::fmt;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::asn1_rs::{Any, FromDer as _, Tag};

use super::PkiError;

/// OIDs with tag and length, as they stand in DER: rsaEncryption, ecPublicKey, prime256v1, secp384r1 (RFC 8017, RFC 5480).
const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const EC: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x06, 5, 0x2b, 0x81, 4, 0, 0x22];
const NULL: &[u8] = &[5, 0];
const ZERO: &[u8] = &[2, 1, 0];
const ONE: &[u8] = &[2, 1, 1];
const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 4;
/// `[0]` and `[1]` of `ECPrivateKey` (RFC 5915).
const CURVE: u8 = 0xa0;
const PUBLIC: u8 = 0xa1;

/// What a key can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// RSA, 2048 to 4096 bits.
    Rsa,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
}

/// A private key. It is kept as PKCS#8 and opened when it is used: that is seldom, and there are many.
#[derive(Clone)]
pub struct PrivateKey {
    pkcs8: Box<[u8]>,
    kind: KeyKind,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, ***)", self.kind)
    }
}

impl PrivateKey {
    /// Reads the first key of a PEM text: PKCS#1 (`RSA PRIVATE KEY`), SEC 1 (`EC PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`).
    ///
    /// # Errors
    /// No key, or one that cannot be used. An EC key must carry its public key, as Go and OpenSSL write it.
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        let key =
            PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| PkiError::NoPem("private key"))?;
        let candidates = match &key {
            PrivateKeyDer::Pkcs8(key) => vec![key.secret_pkcs8_der().to_vec()],
            PrivateKeyDer::Pkcs1(key) => vec![wrapped(&[RSA, NULL], key.secret_pkcs1_der())],
            PrivateKeyDer::Sec1(key) => [P256, P384]
                .map(|curve| wrapped(&[EC, curve], key.secret_sec1_der()))
                .to_vec(),
            _ => return Err(PkiError::Key("unknown form".into())),
        };
        let mut last = PkiError::Key("no key".into());
        for pkcs8 in candidates {
            match Self::from_pkcs8(pkcs8) {
                Ok(key) => return Ok(key),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self, PkiError> {
        let pair = KeyPair::try_from(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))
            .map_err(|error| PkiError::Key(error.to_string().into()))?;
        let algorithm = pair.algorithm();
        let kind = if algorithm == &PKCS_RSA_SHA256 {
            KeyKind::Rsa
        } else if algorithm == &PKCS_ECDSA_P256_SHA256 {
            KeyKind::P256
        } else if algorithm == &PKCS_ECDSA_P384_SHA384 {
            KeyKind::P384
        } else {
            return Err(PkiError::Key("neither RSA, P-256 nor P-384".into()));
        };
        Ok(Self {
            pkcs8: pkcs8.into(),
            kind,
        })
    }

    /// A new P-256 key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, PkiError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Self {
            pkcs8: pair.serialized_der().into(),
            kind: KeyKind::P256,
        })
    }

    /// What it can do.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key as PKCS#8 PEM. It is a secret.
    ///
    /// # Errors
    /// Never for a key that was read.
    pub fn to_pem(&self) -> Result<String, PkiError> {
        Ok(self.pair()?.serialize_pem())
    }

    /// The key as Go's older forms have it, in which Cluster API and kubeadm write keys: PKCS#1 (`RSA PRIVATE KEY`, RFC 8017
    /// A.1.2) or SEC 1 (`EC PRIVATE KEY`, RFC 5915) with the curve named, without which neither Go nor OpenSSL reads it.
    /// It is a secret.
    ///
    /// # Errors
    /// Never for a key that was read.
    pub fn to_older_pem(&self) -> Result<String, PkiError> {
        let (label, der) = match self.kind {
            KeyKind::Rsa => ("RSA PRIVATE KEY", inner(&self.pkcs8)?.to_vec()),
            KeyKind::P256 => ("EC PRIVATE KEY", sec1(inner(&self.pkcs8)?, P256)?),
            KeyKind::P384 => ("EC PRIVATE KEY", sec1(inner(&self.pkcs8)?, P384)?),
        };
        Ok(super::pem::encode(label, &der))
    }

    /// The public key as PEM (`PUBLIC KEY`).
    ///
    /// # Errors
    /// Never for a key that was read.
    pub fn public_pem(&self) -> Result<String, PkiError> {
        Ok(super::pem::encode("PUBLIC KEY", &self.public_info()?))
    }

    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    pub(super) fn pair(&self) -> Result<KeyPair, PkiError> {
        KeyPair::try_from(&PrivatePkcs8KeyDer::from(&*self.pkcs8))
            .map_err(|error| PkiError::Key(error.to_string().into()))
    }

    pub(super) fn der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.to_vec()))
    }

    /// The public key as `SubjectPublicKeyInfo`.
    pub(super) fn public_info(&self) -> Result<Vec<u8>, PkiError> {
        Ok(self.pair()?.subject_public_key_info())
    }
}

/// `PrivateKeyInfo` of RFC 5208 around a key in its older form.
fn wrapped(algorithm: &[&[u8]], key: &[u8]) -> Vec<u8> {
    let algorithm = element(SEQUENCE, &algorithm.concat());
    let content = [ZERO, &algorithm, &element(OCTETS, key)].concat();
    element(SEQUENCE, &content)
}

/// The key inside of `PrivateKeyInfo`.
fn inner(pkcs8: &[u8]) -> Result<&[u8], PkiError> {
    let (_, info) = taken(pkcs8, Tag::Sequence)?;
    let (rest, _version) = taken(info, Tag::Integer)?;
    let (rest, _algorithm) = taken(rest, Tag::Sequence)?;
    Ok(taken(rest, Tag::OctetString)?.1)
}

/// `ECPrivateKey` with its curve, from one that may lack it: in PKCS#8 the curve stands outside.
fn sec1(key: &[u8], curve: &[u8]) -> Result<Vec<u8>, PkiError> {
    let (_, fields) = taken(key, Tag::Sequence)?;
    let (rest, _version) = taken(fields, Tag::Integer)?;
    let (mut rest, secret) = taken(rest, Tag::OctetString)?;
    let mut parts = [ONE.to_vec(), element(OCTETS, secret), element(CURVE, curve)].concat();
    while !rest.is_empty() {
        let (after, field) = Any::from_der(rest).map_err(|error| PkiError::Key(error.to_string().into()))?;
        if field.tag() == Tag(1) {
            parts.extend(element(PUBLIC, field.data));
        }
        rest = after;
    }
    Ok(element(SEQUENCE, &parts))
}

/// What follows the first element, which has to be of this kind, and its content.
fn taken(der: &[u8], tag: Tag) -> Result<(&[u8], &[u8]), PkiError> {
    match Any::from_der(der) {
        Ok((rest, found)) if found.tag() == tag => Ok((rest, found.data)),
        _ => Err(PkiError::Key("damaged".into())),
    }
}

/// A DER element: tag, length, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ 0..0x80) => der.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            // A length has at most eight bytes.
            der.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
            der.extend(digits);
        }
    }
    der.extend_from_slice(content);
    der
}
