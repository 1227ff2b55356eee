//! The relay's account at an authority: made once, kept sealed in the database.

use adit_shared::quic::tls::{Trust, read_certificates};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};

use super::AcmeError;
use super::http::Client;
use super::order::{NONCES, patiently};
use crate::config::{Acme as Config, Binding};
use crate::store::seal::Seal;
use crate::store::{Store, accounts, now};

/// A client for the authority.
///
/// # Errors
///
/// [`AcmeError::Tls`] when the roots cannot be used.
pub(super) fn client(config: &Config) -> Result<Client, AcmeError> {
    let trust = match &config.roots {
        Some(file) => Trust::Roots(read_certificates(file)?),
        None => Trust::Platform,
    };
    Ok(Client::new(&trust)?)
}

/// The account that is in the database, or else a new one.
///
/// # Errors
///
/// [`AcmeError`].
pub(super) async fn open(
    config: &Config,
    client: &Client,
    store: &Store,
    seal: &Seal,
) -> Result<Account, AcmeError> {
    if let Some(account) = existing(config, client, store, seal).await? {
        return Ok(account);
    }
    let binding = config.binding.as_ref().map(read).transpose()?;
    let contact = config.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<_> = contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = || Account::builder_with_http(Box::new(client.clone()));
    let made = patiently!(builder().create(&new, config.directory.clone(), binding.as_ref()));
    let (account, credentials) = made.map_err(AcmeError::of("cannot make an account"))?;
    let plain = serde_json::to_vec(&credentials)
        .map_err(|_| AcmeError::Nonsense("credentials that cannot be kept"))?;
    let sealed = seal.seal(&purpose(&config.directory), &plain)?;
    let directory = config.directory.clone();
    store
        .call(move |db| accounts::put(db, &directory, &sealed, now()))
        .await?;
    tracing::info!(directory = %config.directory, "account at the certificate authority made");
    Ok(account)
}

/// The account that is in the database, if there is one that can be opened.
///
/// # Errors
///
/// [`AcmeError`].
pub(super) async fn existing(
    config: &Config,
    client: &Client,
    store: &Store,
    seal: &Seal,
) -> Result<Option<Account>, AcmeError> {
    let directory = config.directory.clone();
    let Some(sealed) = store.call(move |db| accounts::find(db, &directory)).await? else {
        return Ok(None);
    };
    let credentials = match seal.open(&purpose(&config.directory), &sealed) {
        Ok(plain) => serde_json::from_slice::<AccountCredentials>(&plain).ok(),
        Err(error) => {
            tracing::warn!(%error, "the account at the certificate authority cannot be opened; a new one is made");
            None
        }
    };
    let Some(credentials) = credentials else {
        return Ok(None);
    };
    let builder = Account::builder_with_http(Box::new(client.clone()));
    let account = builder.from_credentials(credentials).await;
    account
        .map(Some)
        .map_err(AcmeError::of("cannot reach the certificate authority"))
}

fn read(binding: &Binding) -> Result<ExternalAccountKey, AcmeError> {
    let fail = |why| AcmeError::File(binding.key.clone(), why);
    let text = std::fs::read_to_string(&binding.key).map_err(|_| fail("it cannot be read"))?;
    let text = text.trim();
    // Authorities give it with and without padding.
    let key = URL_SAFE_NO_PAD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text));
    let key = key.map_err(|_| fail("it holds no base64url"))?;
    Ok(ExternalAccountKey::new(binding.id.clone(), &key))
}

fn purpose(directory: &str) -> String {
    format!("acme account {directory}")
}
