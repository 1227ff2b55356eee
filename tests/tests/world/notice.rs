//! The notice before the first page of a tunnel.

use adit_tests::World;
use adit_tests::visit::{Answer, parse};

const BROWSER: &str = "sec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n\
                       sec-fetch-site: same-origin\r\naccept: text/html,*/*;q=0.8\r\n";

async fn world() -> World {
    World::with(|config| config.notice = true).await
}

async fn ask(world: &World, target: &str, fields: &str) -> Answer {
    let request = format!(
        "GET {target} HTTP/1.1\r\nhost: app.localhost:1\r\nconnection: close\r\n{fields}\r\n"
    );
    let seen = world.raw_tls("app.localhost", request.as_bytes()).await;
    parse(&seen)
}

/// The value of a field of the page's form.
fn value(page: &str, name: &str) -> String {
    let start = format!("name={name} value=\"");
    let (_, rest) = page.split_once(&start).unwrap();
    rest.split_once('"').unwrap().0.replace("&amp;", "&")
}

fn is_notice(answer: &Answer) -> bool {
    answer.fields.contains_key("adit-notice")
}

#[tokio::test]
async fn a_browser_sees_the_notice_once_and_goes_on_to_where_it_wanted() {
    let world = world().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    let target = "/a?b=c&d=%2F+e";
    let shown = ask(&world, target, BROWSER).await;
    assert!(is_notice(&shown));
    assert_eq!(shown.status, 200);
    assert_eq!(shown.fields["cache-control"], "no-store");
    let policy = shown.fields["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    let page = shown.text();
    assert!(
        page.contains("<button>Go on to app.localhost</button>"),
        "{page}"
    );
    let to = value(&page, "to");
    assert_eq!(to, target);

    let to = to
        .replace('%', "%25")
        .replace('+', "%2B")
        .replace('&', "%26");
    let (until, seal) = (value(&page, "until"), value(&page, "seal"));
    let link = format!("/.well-known/adit/notice?to={to}&until={until}&seal={seal}");
    let passed = ask(&world, &link, BROWSER).await;
    assert_eq!(passed.status, 303);
    let location = &passed.fields["location"];
    assert_eq!(location, &format!("https://app.localhost:1{target}"));
    let cookie = passed.fields["set-cookie"].to_str().unwrap();
    let (cookie, _) = cookie.split_once(';').unwrap();

    let with_cookie = format!("{BROWSER}cookie: {cookie}\r\n");
    let answer = ask(&world, target, &with_cookie).await;
    assert!(!is_notice(&answer) && answer.text().starts_with(&format!("GET {target}\n")));

    // From elsewhere the link leads to the notice.
    let elsewhere = BROWSER.replace("same-origin", "cross-site");
    let answer = ask(&world, &link, &elsewhere).await;
    assert!(is_notice(&answer) && answer.status == 200);
    let metrics = world.admin_text("/metrics").await;
    assert!(
        metrics.contains("\nadit_relay_notices_total 3\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn programs_never_see_the_notice() {
    let world = world().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    for fields in [
        "",
        "user-agent: curl/8\r\naccept: */*\r\n",
        "accept: text/html\r\n",
        &BROWSER.replace("navigate", "cors"),
        &BROWSER.replace("document", "iframe"),
        &BROWSER.replace("text/html", "application/json"),
        &format!("{BROWSER}Adit-Skip-Notice: 1\r\n"),
    ] {
        let answer = ask(&world, "/", fields).await;
        assert!(!is_notice(&answer) && answer.status == 200, "{fields}");
        assert!(answer.text().starts_with("GET /\n"));
    }
    let post = format!(
        "POST / HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 2\r\nconnection: close\r\n{BROWSER}\r\nhi"
    );
    let answer = parse(&world.raw_tls("app.localhost", post.as_bytes()).await);
    assert!(!is_notice(&answer) && answer.text().ends_with("\n\nhi"));
    // Its cookie needs TLS.
    let plain =
        format!("GET / HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n{BROWSER}\r\n");
    assert!(!is_notice(&world.say(plain.as_bytes()).await));
    // And nobody who did not ask for it.
    let answer = ask(&world, "/.well-known/adit/notice?to=/", "").await;
    assert!(
        answer
            .text()
            .starts_with("GET /.well-known/adit/notice?to=/\n")
    );
}

#[tokio::test]
async fn there_is_no_notice_unless_the_relay_was_told() {
    let world = World::start().await;
    let _agent = world.agent_with("app", "echo", |_| {}).await;
    assert!(!is_notice(&ask(&world, "/", BROWSER).await));
}
