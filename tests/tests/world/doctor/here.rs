//! What lies on this side: state, origins, variables, options.

use adit_shared::checkup::Verdict::{Fail, Ok as Well, Skipped, Warn};
use adit_tests::World;
use adit_tests::origin::{Origin, read_head};
use tokio::io::AsyncWriteExt as _;

use super::Patient;

#[tokio::test]
async fn without_options_there_is_nothing_wrong() {
    let world = World::start().await;
    let found = Patient::new(&world).examine().await;
    found
        .expect("origin", Skipped, "--port")
        .expect("relay name", Skipped, "--relay");
    assert!(
        found.0.iter().all(|row| row.verdict != Fail),
        "{:#?}",
        found.0
    );
}

#[tokio::test]
async fn a_bad_option_does_not_hide_the_others() {
    let world = World::start().await;
    let patient = Patient::of(&world).with(|options| {
        options.port = Some("0".into());
        options.inspect = Some("nowhere".into());
        options.token = vec!["two words".into()];
    });
    let found = patient.examine().await;
    found
        .expect("options", Fail, "--inspect")
        .expect("origin", Fail, "--port")
        .expect("token", Fail, "--token")
        .expect("udp", Well, "answers");
    assert!(!found.table().contains("two words"), "a token is not shown");
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_is_a_failure() {
    let world = World::start().await;
    // A file in its place stops every user, the superuser too.
    std::fs::write(world.state().join("agent"), "").unwrap();
    let found = Patient::new(&world).examine().await;
    found.expect("state directory", Fail, "cannot write to");
    assert!(found.row("state directory").fix.contains("--state-dir"));
}

#[cfg(unix)]
#[tokio::test]
async fn an_identity_that_others_can_read_or_that_is_none_is_noticed() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::start().await;
    let agent = world.agent("app", Origin::nobody().await).await;
    let path = agent.config().identity();
    let patient = || {
        let state = agent.config().state_dir.display().to_string();
        Patient::new(&world).with(|options| options.state_dir = Some(state))
    };
    patient().examine().await.expect("identity", Well, "");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let found = patient().examine().await;
    found.expect("identity", Warn, "others can read");
    assert_eq!(
        found.row("identity").fix,
        format!("chmod 600 {}", path.display())
    );
    std::fs::write(&path, "no key").unwrap();
    patient()
        .examine()
        .await
        .expect("identity", Fail, "is not an identity");
}

#[tokio::test]
async fn what_is_wrong_with_an_origin_is_told() {
    let world = World::start().await;
    let origin = async |url: String| {
        let patient = Patient::new(&world).with(|options| options.origin = Some(url));
        patient.examine().await
    };
    let nobody = Origin::nobody().await;
    let found = origin(format!("http://{nobody}")).await;
    found.expect("origin", Fail, "refused");
    assert!(found.row("origin").fix.contains("start"));

    let closes = Origin::saying("SSH-2.0-OpenSSH_9.7\r\n").await;
    let found = origin(format!("http://{}", closes.address)).await;
    found
        .expect("origin", Fail, "does not speak HTTP")
        .expect("origin", Fail, "SSH-2.0");

    let silent = Origin::scripted(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending().await
    })
    .await;
    let found = origin(format!("http://{}", silent.address)).await;
    found.expect("origin", Warn, "has not answered");

    let found = origin(format!("https://{}", world.https)).await;
    found.expect("origin", Fail, "certificate");
    assert!(found.row("origin").fix.contains("--origin-insecure"));
    let found = origin(format!("http://{}", world.https)).await;
    found.expect("origin", Fail, "speaks TLS");
    assert!(found.row("origin").fix.contains("https://"));
    let found = origin(format!("h2c://{}", world.http)).await;
    found.expect("origin", Well, "answers 404");
    let found = origin(format!("h2c://{}", closes.address)).await;
    found.expect("origin", Fail, "does not speak HTTP");
}

#[tokio::test]
async fn an_origin_with_a_certificate_of_its_own_is_well_when_that_is_meant() {
    let world = World::start().await;
    let patient = Patient::new(&world).with(|options| {
        options.origin = Some(format!("https://{}", world.https));
        options.origin_insecure = true;
    });
    let found = patient.examine().await;
    found.expect("origin", Well, "its certificate is not looked at");
}

#[tokio::test]
async fn an_origin_may_answer_in_pieces() {
    let world = World::start().await;
    let origin = Origin::scripted(|mut stream| async move {
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HEAD / HTTP/1.1\r\n"), "{head}");
        for byte in b"HTTP/1.1 204 No Content\r\n\r\n" {
            // Whoever asked has heard enough after the status.
            drop(stream.write_all(&[*byte]).await);
        }
    })
    .await;
    let patient = Patient::new(&world)
        .with(|options| options.origin = Some(format!("http://{}", origin.address)));
    patient
        .examine()
        .await
        .expect("origin", Well, "answers 204");
}

#[tokio::test]
async fn a_proxy_is_named_without_its_password() {
    let world = World::start().await;
    let mut patient = Patient::new(&world);
    patient.variables = |name| match name {
        "HTTPS_PROXY" => Some("http://me:canary@proxy:3128".into()),
        "NO_PROXY" => Some("localhost".into()),
        _ => None,
    };
    let found = patient.examine().await;
    found
        .expect("proxy", Well, "HTTPS_PROXY=http://***@proxy:3128")
        .expect(
            "proxy",
            Well,
            "(NO_PROXY=localhost): used for tcp to a relay",
        );
    assert!(!found.table().contains("canary"));
}
