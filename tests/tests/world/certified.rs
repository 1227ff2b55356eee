//! Webhooks whose signature needs a certificate that is fetched, and subscriptions that are confirmed.

use std::sync::{Arc, Mutex};

use adit_agent::config::Webhooks;
use adit_shared::quic::tls::{Trust, provider as crypto};
use adit_shared::webhook::fetch::Way;
use adit_shared::webhook::{Mode, Rule, Secret, provider};
use adit_tests::World;
use adit_tests::origin::Origin;
use adit_tests::visit::Answer;
use adit_tests::world::Agent;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

const PEM: &str = include_str!("../../../shared/src/webhook/samples/certificate.pem");
const MESSAGE: &str = include_str!("../../../shared/src/webhook/samples/sns-1.json");
const CONFIRM: &str = include_str!("../../../shared/src/webhook/samples/sns-confirm.json");
const EVIL: &str = include_str!("../../../shared/src/webhook/samples/sns-evil.json");
const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:orders";

/// A server on loopback that can prove to be Amazon's to whoever believes its authority.
struct Amazon {
    server: Origin,
    authority: CertificateDer<'static>,
    /// What it was asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Amazon {
    async fn start(host: &str) -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = ca.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(ca, key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap().der().clone();
        let config = ServerConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        let server = Origin::scripted(move |stream| {
            let (acceptor, heard) = (acceptor.clone(), heard.clone());
            async move {
                // Who does not believe it is gone by then.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap().to_owned();
                heard.lock().unwrap().push(target);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{PEM}",
                    PEM.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _ = stream.shutdown().await;
            }
        })
        .await;
        Self {
            server,
            authority,
            asked,
        }
    }

    async fn agent(&self, world: &World, confirm: bool) -> Agent {
        let rule = Rule {
            provider: provider("sns").unwrap(),
            mode: Mode::Enforce,
            path: "*".parse().unwrap(),
            secrets: vec![Secret::new(TOPIC).unwrap()],
            tolerance: None,
        };
        let way = Way {
            trust: Trust::Roots(vec![self.authority.clone()]),
            at: Some(self.server.address),
        };
        let set = |config: &mut adit_agent::config::Config| {
            config.fetch = way;
            config.tunnels[0].webhooks = Webhooks {
                rules: vec![rule],
                confirm,
                ..Webhooks::default()
            };
        };
        world.agent_with("app", "echo", set).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn post(world: &World, body: &str) -> Answer {
    world.post("app", "/sns", body.as_bytes()).await
}

#[tokio::test]
async fn a_certificate_is_fetched_once_and_only_from_its_provider() {
    let world = World::start().await;
    let amazon = Amazon::start("sns.eu-central-1.amazonaws.com").await;
    let _agent = amazon.agent(&world, false).await;
    for _ in 0..2 {
        let answer = post(&world, MESSAGE).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("adit-webhook-verified: sns"));
    }
    let changed = MESSAGE.replace("Order 7", "Order 8");
    let elsewhere = MESSAGE.replace("https://sns.eu", "https://s3.eu");
    for bad in [&changed, &elsewhere, "{}"] {
        let answer = post(&world, bad).await;
        let told = (answer.status.as_u16(), answer.error());
        assert_eq!(told, (401, Some("webhook-unverified")), "{bad}");
    }
    let asked = amazon.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("/SimpleNotificationService-"));
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_gives_no_certificate() {
    let world = World::start().await;
    let other = Amazon::start("sns.evil.test").await;
    let _agent = other.agent(&world, false).await;
    let answer = post(&world, MESSAGE).await;
    let told = (answer.status.as_u16(), answer.error());
    assert_eq!(told, (503, Some("webhook-unchecked")));
    assert_eq!(other.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_subscription_is_confirmed_when_that_is_wanted_and_only_at_amazon() {
    let world = World::start().await;
    let amazon = Amazon::start("sns.eu-central-1.amazonaws.com").await;
    let confirmed = |amazon: &Amazon| {
        let asked = amazon.asked();
        let asked = asked.iter().filter(|target| target.contains("Confirm"));
        asked.count()
    };
    {
        let agent = amazon.agent(&world, false).await;
        let answer = post(&world, CONFIRM).await;
        assert!(
            answer.text().contains("adit-webhook-verified"),
            "the program has it"
        );
        assert_eq!(confirmed(&amazon), 0);
        assert!(agent.stop().await);
    }
    let _agent = amazon.agent(&world, true).await;
    let answer = post(&world, CONFIRM).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("The subscription is confirmed."));
    assert_eq!(confirmed(&amazon), 1);
    let answer = post(&world, EVIL).await;
    assert!(
        answer.text().contains("adit-webhook-verified"),
        "signed, and left to the program"
    );
    let forged = CONFIRM.replace("Token=", "Token=1");
    assert_eq!(post(&world, &forged).await.status, 401);
    assert_eq!(confirmed(&amazon), 1);
}
