use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::store::directory::Scratch;

fn development(dir: &Scratch, domain: &str) -> Arc<Certificates> {
    let domain = domain.parse().unwrap();
    Arc::new(Certificates::development(dir.path(), &domain).unwrap())
}

/// Shakes hands in memory; says which certificate was shown.
fn shake_hands(
    certificates: &Arc<Certificates>,
    trust: &tls::Trust,
    name: &str,
) -> Result<CertificateDer<'static>, rustls::Error> {
    let alpn: &[&[u8]] = &[b"h2"];
    let server = tls::server(Arc::clone(certificates) as _, alpn).unwrap();
    let client = tls::client(trust, alpn).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(client.peer_certificates().unwrap()[0].clone().into_owned())
}

fn trust(certificates: &Certificates) -> tls::Trust {
    let path = certificates.ca_path().unwrap();
    tls::Trust::Roots(tls::read_certificates(path).unwrap())
}

#[test]
fn who_trusts_the_ca_trusts_every_name_of_the_relay() {
    let dir = Scratch::new();
    let relay = development(&dir, "localhost");
    let trust = trust(&relay);
    for name in ["localhost", "127.0.0.1", "::1"] {
        shake_hands(&relay, &trust, name).unwrap();
    }
    let pinned = tls::Trust::Pin(relay.pin().unwrap());
    shake_hands(&relay, &pinned, "localhost").unwrap();
    shake_hands(&relay, &trust, "example.com").unwrap_err();

    let public = Scratch::new();
    let relay = development(&public, "relay.example.com");
    let trust = self::trust(&relay);
    for name in ["relay.example.com", "app.relay.example.com", "127.0.0.1"] {
        shake_hands(&relay, &trust, name).unwrap();
    }
    shake_hands(&relay, &trust, "a.b.relay.example.com").unwrap_err();
}

#[test]
fn a_claimed_host_has_a_certificate_of_its_own() {
    let dir = Scratch::new();
    let relay = development(&dir, "localhost");
    let trust = trust(&relay);
    let default = shake_hands(&relay, &trust, "localhost").unwrap();
    for host in ["a.localhost", "app.customer.com"] {
        let host: Host = host.parse().unwrap();
        relay.issue(&host).unwrap();
        let own = shake_hands(&relay, &trust, host.as_str()).unwrap();
        assert_ne!(own, default);
        relay.issue(&host).unwrap();
        assert_eq!(shake_hands(&relay, &trust, host.as_str()).unwrap(), own);
        assert_eq!(Pin::of(&own).unwrap(), relay.pin().unwrap());
        relay.forget(&host);
        assert_eq!(*relay.shown(Some(host.as_str())).cert[0], *default);
    }
    relay.issue(&"[::1]".parse().unwrap()).unwrap();
    relay.renew().unwrap();
}

#[test]
fn neither_pin_nor_ca_change_at_a_restart() {
    let dir = Scratch::new();
    let before = development(&dir, "localhost");
    let trust = trust(&before);
    let after = development(&dir, "localhost");
    assert_eq!(before.pin(), after.pin());
    shake_hands(&after, &trust, "localhost").unwrap();
    let elsewhere = Scratch::new();
    let stranger = development(&elsewhere, "localhost");
    shake_hands(&stranger, &trust, "localhost").unwrap_err();
}

#[test]
fn relays_that_start_at_once_share_one_ca() {
    let dir = Scratch::new();
    let relays: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| development(&dir, "localhost")))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    let trust = trust(&relays[0]);
    for relay in &relays {
        assert_eq!(relay.pin().unwrap(), relays[0].pin().unwrap());
        shake_hands(relay, &trust, "localhost").unwrap();
    }
    assert_eq!(dir.path().read_dir().unwrap().count(), 3);
}

#[test]
fn a_spoiled_file_is_refused_and_left_alone() {
    for (file, contents) in [("ca.key", "not a key"), ("ca.pem", "")] {
        let dir = Scratch::new();
        drop(development(&dir, "localhost"));
        let path = dir.path().join(file);
        std::fs::write(&path, contents).unwrap();
        let domain = "localhost".parse().unwrap();
        Certificates::development(dir.path(), &domain).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), contents);
    }
    // A CA certificate of another key.
    let (dir, other) = (Scratch::new(), Scratch::new());
    drop((
        development(&dir, "localhost"),
        development(&other, "localhost"),
    ));
    std::fs::copy(other.path().join("ca.pem"), dir.path().join("ca.pem")).unwrap();
    let error = Certificates::development(dir.path(), &"localhost".parse().unwrap()).unwrap_err();
    assert!(matches!(error, CertificateError::Spoiled(_)), "{error:?}");
}

#[test]
fn files_are_shown_and_read_again() {
    let dir = Scratch::new();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let write = |name: &str| {
        let pair = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let made = params.self_signed(&pair).unwrap();
        std::fs::write(&cert, made.pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        pair
    };
    let first = write("one.example.com");
    let relay = Arc::new(Certificates::from_files(&cert, &key).unwrap());
    let pinned = tls::Trust::Pin(relay.pin().unwrap());
    shake_hands(&relay, &pinned, "one.example.com").unwrap();
    assert_eq!(relay.ca_path(), None);

    write("two.example.com");
    std::fs::write(&key, first.serialize_pem()).unwrap();
    let error = relay.reload().unwrap_err();
    assert!(
        matches!(error, CertificateError::Mismatch { .. }),
        "{error:?}"
    );
    shake_hands(&relay, &pinned, "one.example.com").unwrap();

    write("two.example.com");
    relay.reload().unwrap();
    shake_hands(&relay, &pinned, "one.example.com").unwrap_err();
    shake_hands(
        &relay,
        &tls::Trust::Pin(relay.pin().unwrap()),
        "two.example.com",
    )
    .unwrap();
}

#[cfg(unix)]
#[test]
fn keys_are_private_and_the_ca_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = Scratch::new();
    drop(development(&dir, "localhost"));
    for (file, mode) in [("ca.pem", 0o644), ("ca.key", 0o600), ("relay.key", 0o600)] {
        let metadata = dir.path().join(file).metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{file}");
    }
}
