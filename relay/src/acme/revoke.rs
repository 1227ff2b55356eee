//! Has an authority revoke a certificate that it issued to this relay (RFC 8555 section 7.6).

use instant_acme::RevocationRequest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::order::{NONCES, patiently};
use super::{AcmeError, account};
use crate::config::Acme as Config;
use crate::store::seal::Seal;
use crate::store::{Store, certificates, now};

/// Revokes the certificate in this record, with the account that ordered it.
///
/// # Errors
///
/// [`AcmeError`]; then it may be revoked or not.
pub async fn revoke(
    config: &Config,
    store: &Store,
    seal: &Seal,
    record: &certificates::Record,
) -> Result<(), AcmeError> {
    // The authority that issued it, whichever is in use now.
    let config = Config {
        directory: record.directory.clone(),
        ..config.clone()
    };
    let client = account::client(&config)?;
    let account = account::existing(&config, &client, store, seal).await?;
    let account = account.ok_or(AcmeError::Nonsense("the account that ordered it is lost"))?;
    let certificate = CertificateDer::from_pem_slice(record.chain.as_bytes());
    let certificate = certificate.map_err(|_| AcmeError::Nonsense("a chain that is no PEM"))?;
    let request = RevocationRequest {
        certificate: &certificate,
        reason: None,
    };
    let revoked = patiently!(account.revoke(&request));
    match revoked {
        // Somebody else was first, which is as good.
        Err(instant_acme::Error::Api(problem))
            if problem.r#type.as_deref() == Some(ALREADY_REVOKED) => {}
        revoked => revoked.map_err(AcmeError::of("the authority does not revoke it"))?,
    }
    let name = record.name.clone();
    store
        .call(move |db| certificates::revoke(db, &name, now()))
        .await?;
    Ok(())
}

const ALREADY_REVOKED: &str = "urn:ietf:params:acme:error:alreadyRevoked";
