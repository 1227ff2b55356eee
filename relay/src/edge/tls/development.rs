//! A certificate authority of the relay's own, for trying things out.
//!
//! Three files in the state directory outlive the process: the CA (`ca.pem`, `ca.key`) and the one
//! key of all leaves (`relay.key`), so that neither trust in the CA nor a pin breaks at a restart.
//! The leaves themselves are made anew each time.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adit_shared::name::Host;
use adit_shared::quic::tls::{self, Pin};
use data_encoding::HEXLOWER;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use super::CertificateError;
use crate::store::directory::{self, Readers};

/// The CA with the leaves that it issued.
pub(super) struct Development {
    ca: Ca,
    key: KeyPair,
    /// The same key, for the TLS library.
    signing: Arc<dyn SigningKey>,
    pin: Pin,
    domain: Host,
    leaves: RwLock<Leaves>,
}

struct Leaves {
    /// For whoever asks for no name, or for one that has no leaf of its own.
    default: Leaf,
    by_host: HashMap<String, Leaf>,
}

struct Leaf {
    shown: Arc<CertifiedKey>,
    renew_at: SystemTime,
}

impl Development {
    /// Reads the CA in `state_dir`, or makes one.
    pub(super) fn open(state_dir: &Path, domain: &Host) -> Result<Self, CertificateError> {
        directory::create(state_dir)
            .map_err(|error| CertificateError::Keep(state_dir.to_owned(), error))?;
        let ca = Ca::open(state_dir)?;
        let key = read_or_make_key(&state_dir.join("relay.key"))?;
        let der = PrivatePkcs8KeyDer::from(key.serialize_der());
        let signing = tls::provider()
            .key_provider
            .load_private_key(der.into())
            .map_err(CertificateError::Key)?;
        let default = issue(&ca, &key, &signing, &default_names(domain)?)?;
        let pin = Pin::of(&default.shown.cert[0])?;
        let by_host = HashMap::new();
        Ok(Self {
            ca,
            key,
            signing,
            pin,
            domain: domain.clone(),
            leaves: RwLock::new(Leaves { default, by_host }),
        })
    }

    pub(super) fn issue(&self, host: &Host) -> Result<(), CertificateError> {
        let has_it = {
            let leaves = self.leaves.read().unwrap_or_else(PoisonError::into_inner);
            leaves
                .by_host
                .get(host.as_str())
                .is_some_and(Leaf::is_fresh)
        };
        if !has_it {
            let leaf = issue(&self.ca, &self.key, &self.signing, &[name(host)?])?;
            let mut leaves = self.leaves.write().unwrap_or_else(PoisonError::into_inner);
            leaves.by_host.insert(host.as_str().to_owned(), leaf);
        }
        Ok(())
    }

    pub(super) fn forget(&self, host: &Host) {
        let mut leaves = self.leaves.write().unwrap_or_else(PoisonError::into_inner);
        leaves.by_host.remove(host.as_str());
    }

    pub(super) fn renew(&self) -> Result<(), CertificateError> {
        let (default, hosts) = {
            let leaves = self.leaves.read().unwrap_or_else(PoisonError::into_inner);
            let old = leaves.by_host.iter().filter(|(_, leaf)| !leaf.is_fresh());
            let hosts: Vec<String> = old.map(|(host, _)| host.clone()).collect();
            (leaves.default.is_fresh(), hosts)
        };
        if !default {
            let names = default_names(&self.domain)?;
            let leaf = issue(&self.ca, &self.key, &self.signing, &names)?;
            let mut leaves = self.leaves.write().unwrap_or_else(PoisonError::into_inner);
            leaves.default = leaf;
        }
        for host in hosts {
            let leaf = issue(&self.ca, &self.key, &self.signing, &[dns(&host)?])?;
            let mut leaves = self.leaves.write().unwrap_or_else(PoisonError::into_inner);
            // It may have been forgotten meanwhile.
            if let Some(old) = leaves.by_host.get_mut(&host) {
                *old = leaf;
            }
        }
        Ok(())
    }

    pub(super) fn shown(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let leaves = self.leaves.read().unwrap_or_else(PoisonError::into_inner);
        let own = name.and_then(|name| leaves.by_host.get(name));
        Arc::clone(&own.unwrap_or(&leaves.default).shown)
    }

    pub(super) fn pin(&self) -> Pin {
        self.pin
    }

    pub(super) fn ca_path(&self) -> &Path {
        &self.ca.path
    }
}

impl Leaf {
    fn is_fresh(&self) -> bool {
        SystemTime::now() < self.renew_at
    }
}

/// The CA: it signs with its key, under the name that follows from that key.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    path: PathBuf,
}

impl Ca {
    fn open(state_dir: &Path) -> Result<Self, CertificateError> {
        let path = state_dir.join("ca.pem");
        let key = read_or_make_key(&state_dir.join("ca.key"))?;
        let params = ca_params(&key);
        // Relays that start at once have the same key here, and one certificate wins.
        let make = || Ok(params.self_signed(&key).map_err(io::Error::other)?.pem());
        directory::read_or_create(&path, Readers::All, make)
            .map_err(|error| CertificateError::Keep(path.clone(), error))?;
        let certificate = tls::read_certificates(&path)?.swap_remove(0);
        let made = params.self_signed(&key)?;
        if Pin::of(&certificate)? != Pin::of(made.der())? {
            return Err(CertificateError::Spoiled(path));
        }
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            path,
        })
    }
}

fn ca_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Several CAs with one name would confuse programs that trust them all.
    let id = params.key_identifier(key);
    let id = HEXLOWER.encode(&id[..4]);
    params.distinguished_name = common_name(&format!("Adit development CA {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_dates(&mut params, CA_LIFE);
    params
}

fn issue(
    ca: &Ca,
    key: &KeyPair,
    signing: &Arc<dyn SigningKey>,
    names: &[SanType],
) -> Result<Leaf, CertificateError> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.distinguished_name = common_name("Adit relay");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_dates(&mut params, LEAF_LIFE);
    let leaf = params.signed_by(key, &ca.issuer)?;
    let chain = vec![leaf.der().clone(), ca.certificate.clone()];
    Ok(Leaf {
        shown: Arc::new(CertifiedKey::new(chain, Arc::clone(signing))),
        renew_at: SystemTime::now() + LEAF_LIFE * 2 / 3,
    })
}

/// The domain, all names below it, and the ways to call this machine.
fn default_names(domain: &Host) -> Result<Vec<SanType>, CertificateError> {
    let mut names = vec![name(domain)?];
    if let SanType::DnsName(_) = names[0] {
        names.push(dns(&format!("*.{domain}"))?);
    }
    for local in [
        dns("localhost")?,
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
    ] {
        if !names.contains(&local) {
            names.push(local);
        }
    }
    Ok(names)
}

fn name(host: &Host) -> Result<SanType, CertificateError> {
    let text = host.as_str();
    let literal = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    match literal.unwrap_or(text).parse::<IpAddr>() {
        Ok(ip) => Ok(SanType::IpAddress(ip)),
        Err(_) => dns(text),
    }
}

fn dns(text: &str) -> Result<SanType, CertificateError> {
    Ok(SanType::DnsName(text.try_into()?))
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

/// From yesterday on, for clocks that are behind.
fn set_dates(params: &mut CertificateParams, life: Duration) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = rcgen::date_time_ymd(1970, 1, 1) + since.unwrap_or_default();
    params.not_before = now - DAY;
    params.not_after = now + life;
}

fn read_or_make_key(path: &Path) -> Result<KeyPair, CertificateError> {
    let make = || {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
        Ok(key.serialize_pem())
    };
    let pem = directory::read_or_create(path, Readers::Owner, make)
        .map_err(|error| CertificateError::Keep(path.to_owned(), error))?;
    KeyPair::from_pem(&pem).map_err(|_| CertificateError::Spoiled(path.to_owned()))
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Renewed after two thirds. Browsers accept about a year at most.
const LEAF_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Whoever trusts the CA does so by hand, which nobody wants to repeat.
const CA_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
