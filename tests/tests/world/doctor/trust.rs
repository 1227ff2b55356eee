//! Certificates, clocks, tokens.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use adit_relay::auth::Token;
use adit_relay::config::Certificate;
use adit_shared::checkup::Verdict::{Fail, Ok as Well, Skipped, Warn};
use adit_tests::World;
use adit_tests::origin::Origin;
use adit_tests::world::Scratch;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::{Patient, at_one_port};
use crate::names::tokens::keep;

/// Files of a CA and of a certificate that it issued.
struct Issued {
    dir: Scratch,
}

impl Issued {
    /// A certificate for 127.0.0.1, with a change.
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "Test CA");
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        change(&mut leaf);
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        let issued = Self {
            dir: Scratch::new(),
        };
        std::fs::write(issued.file("ca.pem"), ca_pem).unwrap();
        std::fs::write(issued.file("cert.pem"), leaf.pem()).unwrap();
        std::fs::write(issued.file("key.pem"), key.serialize_pem()).unwrap();
        issued
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A relay that shows it.
    async fn world(&self) -> World {
        let (cert, key) = (self.file("cert.pem"), self.file("key.pem"));
        World::with(|config| config.certificate = Certificate::Files { cert, key }).await
    }

    /// An agent that trusts the CA.
    fn patient(&self, world: &World) -> Patient {
        let ca = self.file("ca.pem").to_str().unwrap().to_owned();
        Patient::new(world)
            .with(|options| options.relay_ca = Some(ca))
            .at(world.quic)
    }
}

#[tokio::test]
async fn a_certificate_from_files_is_well() {
    let issued = Issued::new(|_| {});
    let world = issued.world().await;
    let found = issued.patient(&world).examine().await;
    found
        .expect("relay trust", Well, "issued by \"Test CA\"")
        .expect("token", Well, "");
}

#[tokio::test]
async fn an_expired_certificate_is_told_from_an_early_one() {
    let issued = Issued::new(|leaf| leaf.not_after = rcgen::date_time_ymd(2020, 2, 3));
    let world = issued.world().await;
    let found = issued.patient(&world).examine().await;
    found
        .expect(
            "relay trust",
            Fail,
            "issued by \"Test CA\", has expired on 2020-02-03",
        )
        .expect("udp", Well, "answers")
        .expect("clock", Warn, "not valid")
        .expect("token", Skipped, "no connection");

    let issued = Issued::new(|leaf| {
        leaf.not_before = rcgen::date_time_ymd(3020, 2, 3);
        leaf.not_after = rcgen::date_time_ymd(3021, 2, 3);
    });
    let world = issued.world().await;
    let found = issued.patient(&world).examine().await;
    found.expect("relay trust", Fail, "not valid yet, only from 3020-02-03");
}

#[tokio::test]
async fn a_certificate_for_another_name_or_from_a_stranger_is_told() {
    let issued = Issued::new(|leaf| {
        leaf.subject_alt_names = vec![rcgen::SanType::DnsName("other.test".try_into().unwrap())];
    });
    let world = issued.world().await;
    let found = issued.patient(&world).examine().await;
    found.expect("relay trust", Fail, "is not for 127.0.0.1, but for");
    found.expect("relay trust", Fail, "other.test");

    let stranger = Issued::new(|_| {});
    let found = stranger.patient(&world).examine().await;
    found.expect(
        "relay trust",
        Fail,
        "the CA of the relay does not vouch for",
    );
    assert!(found.row("relay trust").fix.contains("--pin"));
}

#[tokio::test]
async fn another_key_than_the_pinned_one_is_a_failure() {
    let world = World::start().await;
    let pin = |pin: String| {
        let patient = Patient::new(&world).with(|options| options.pin = vec![pin]);
        patient.at(world.quic).examine()
    };
    let found = pin(world.pin().to_string()).await;
    found
        .expect("relay trust", Well, "the pinned key")
        .expect("token", Well, "");
    let found = pin(format!("sha256:{}", "00".repeat(32))).await;
    found.expect("relay trust", Fail, "and not the pinned sha256:0000");
    found.expect("relay trust", Fail, &world.pin().to_string());
}

#[tokio::test]
async fn another_key_over_tcp_than_over_udp_is_a_proxy_that_intercepts() {
    let proxy = World::start().await;
    let world = World::start().await;
    let world = world
        .restart_relay_with(|config| config.quic = Some(proxy.https))
        .await;
    let found = Patient::of(&world).examine().await;
    found
        .expect(
            "relay trust",
            Warn,
            "over tcp another key is shown, issued by \"Adit development CA",
        )
        .expect("token", Well, "");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_noticed() {
    let world = at_one_port().await;
    let with_clock = async |now| {
        let mut patient = Patient::of(&world);
        patient.now = now;
        patient.examine().await
    };
    let found = with_clock(|| SystemTime::now() + Duration::from_secs(90)).await;
    found
        .expect("clock", Warn, "s ahead of the relay's")
        .expect("token", Well, "");
    let found = with_clock(|| SystemTime::now() - Duration::from_secs(90)).await;
    found.expect("clock", Warn, "s behind the relay's");
    // So wrong that no certificate is valid: then no relay says the time, but its certificate does.
    let found = with_clock(|| SystemTime::UNIX_EPOCH).await;
    found
        .expect("clock", Warn, "it is 1970-01-01T00:00:00Z here")
        .expect("relay trust", Fail, "not valid yet");
    assert!(found.row("relay trust").fix.contains("clock"));
}

#[tokio::test]
async fn a_token_is_asked_about_by_a_hello() {
    let good = Token::generate().unwrap();
    let kept = good.clone();
    let world = World::with(move |config| {
        config.open = false;
        keep(&config.state_dir, &kept, &["*"]);
    })
    .await;
    let with = async |token: &str| {
        let token = (!token.is_empty()).then(|| token.to_owned());
        let patient =
            Patient::of(&world).with(|options| options.token = token.into_iter().collect());
        patient.examine().await
    };
    let found = with(good.reveal()).await;
    found.expect("token", Well, "accepted by relay/");
    assert!(!found.table().contains(good.reveal()));
    with("").await.expect("token", Fail, "asks for a token");
    let unknown = Token::generate().unwrap();
    let found = with(unknown.reveal()).await;
    found
        .expect("token", Fail, "does not know the token")
        .expect("path mtu", Well, "get through");
    assert!(!found.table().contains(unknown.reveal()));
}

#[tokio::test]
async fn a_checkup_does_not_disturb_the_agent_of_the_same_identity() {
    let world = World::start().await;
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let mut agent = world.agent("app", origin.address).await;
    let state = agent.config().state_dir.display().to_string();
    let patient = Patient::of(&world).with(|options| options.state_dir = Some(state));
    let found = patient.examine().await;
    found.expect("token", Well, "").expect("identity", Well, "");
    assert_eq!(world.get("app", "/").await.text(), "hi");
    // Whatever else had happened to it would stand before the request.
    let first = agent.events.recv().await.unwrap();
    assert!(
        matches!(first, adit_agent::status::Event::Request { .. }),
        "{first:?}"
    );
}
