//! Records at a DNS server of one's own, by signed updates (RFC 2136, RFC 8945), as BIND, Knot and PowerDNS
//! take them.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::message::{Answer, Change, Name, called, update};
use super::tsig::{Algorithm, Key};
use super::{DnsError, Record, server};
use crate::store::now;

/// The server, and the key that it takes changes with.
pub(super) struct Server {
    /// The settings; they are read anew each time, so that the key can be changed.
    file: PathBuf,
}

/// The file as typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: String,
    zone: String,
    key: String,
    #[serde(default)]
    algorithm: Algorithm,
    secret: String,
}

struct Settings {
    server: String,
    zone: Name,
    key: Key,
}

impl Server {
    /// # Errors
    ///
    /// [`DnsError::Settings`].
    pub(super) fn new(file: PathBuf) -> Result<Self, DnsError> {
        Settings::read(&file)?;
        Ok(Self { file })
    }

    /// Sets a record or removes it. Dropped, that may be done or not.
    pub(super) async fn change(&self, change: Change, record: &Record) -> Result<(), DnsError> {
        let Settings { server, zone, key } = Settings::read(&self.file)?;
        let unreached = |error| DnsError::Unreached(server.clone(), error);
        let name = Name::parse(&record.name).filter(|name| name.is_in(&zone));
        let other_zone = || DnsError::OtherZone(record.name.clone(), self.file.clone());
        let name = name.ok_or_else(other_zone)?;
        let mut id = [0; 2];
        rand::fill(&mut id).map_err(|_| unreached(std::io::Error::other("no random bytes")))?;
        let id = u16::from_be_bytes(id);
        let made = update(id, &zone, change, (&name, &record.value));
        let mut message = made.ok_or_else(other_zone)?;
        let signature = key.sign(&mut message, time());
        let addresses = server::find(&server).await.map_err(unreached)?;
        let bytes = server::ask(&addresses, &message).await.map_err(unreached)?;
        let nonsense = |why: &str| DnsError::Unbelieved(server.clone(), why.to_owned());
        let answer = Answer::read(&bytes).filter(|answer| answer.id == id);
        let answer = answer.ok_or_else(|| nonsense("it cannot be read"))?;
        let believed = key.verify(&bytes, &signature, time());
        match (answer.code, believed) {
            (0, Ok(())) => Ok(()),
            (0, Err(why)) => Err(nonsense(why)),
            (code, Ok(())) => Err(DnsError::Unchanged(server, called(code.into()).to_owned())),
            // What is wrong with the key is said beside.
            (code, Err(why)) => {
                let why = format!("{} ({why})", called(code.into()));
                Err(DnsError::Unchanged(server, why))
            }
        }
    }
}

impl Settings {
    fn read(path: &Path) -> Result<Self, DnsError> {
        let bad = |why: String| DnsError::Settings(path.to_owned(), why);
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        // Not all of the error: it would show the line, which may have the secret.
        let file: File = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
        let name = |key: &str, text: &str| {
            Name::parse(text).ok_or_else(|| bad(format!("`{key}` is no name: {text}")))
        };
        let secret = STANDARD.decode(file.secret.trim());
        let secret = secret.map_err(|_| bad("`secret` is no base64".into()))?;
        if secret.is_empty() {
            return Err(bad("`secret` is empty".into()));
        }
        Ok(Self {
            zone: name("zone", &file.zone)?,
            key: Key::new(name("key", &file.key)?, file.algorithm, &secret),
            server: file.server,
        })
    }
}

fn time() -> u64 {
    u64::try_from(now()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory::Scratch;

    #[test]
    fn what_is_wrong_with_the_file_is_said_without_the_secret() {
        let dir = Scratch::new();
        let path = dir.path().join("dns.toml");
        let good = "server = \"ns.example.com\"\nzone = \"example.com\"\nkey = \"adit\"\n\
                    algorithm = \"hmac-sha512\"\nsecret = \"c2VjcmV0\"\n";
        std::fs::write(&path, good).unwrap();
        assert!(Server::new(path.clone()).is_ok());
        for (from, to, said) in [
            ("zone = \"example.com\"\n", "", "zone"),
            ("\"example.com\"", "\"a..b\"", "`zone` is no name"),
            ("hmac-sha512", "hmac-md5", "hmac-md5"),
            ("c2VjcmV0", "c2VjcmV0!", "`secret` is no base64"),
            ("c2VjcmV0", "", "`secret` is empty"),
            ("\"c2VjcmV0\"", "c2VjcmV0", ""),
            ("key =", "keys = 1\nkey =", "unknown field `keys`"),
        ] {
            std::fs::write(&path, good.replace(from, to)).unwrap();
            let Err(error) = Server::new(path.clone()) else {
                panic!("{to} is taken");
            };
            let error = error.to_string();
            assert!(
                error.contains(said) && error.contains("dns.toml"),
                "{error}"
            );
            assert!(!error.contains("c2VjcmV0"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Server::new(path).is_err());
    }
}
