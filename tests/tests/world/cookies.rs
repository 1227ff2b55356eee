//! Cookies of one tunnel are no business of another.

use adit_tests::World;
use adit_tests::origin::Origin;

#[tokio::test]
async fn a_cookie_for_the_relays_domain_stays_with_its_tunnel() {
    let world = World::start().await;
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Domain=.LOCALHOST; Path=/\r\n\
         set-cookie: b=2; Domain=app.localhost\r\nset-cookie: __Host-adit-notice=1.x; Secure\r\n\
         x-kept: yes\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let _agent = world.agent("app", origin.address).await;
    let one = world.get("app", "/").await;
    let (two, _) = world
        .h2("app.localhost")
        .await
        .get("https://app.localhost/")
        .await
        .unwrap();
    for answer in [one, two] {
        let cookies = answer.fields.get_all("set-cookie").iter();
        let cookies: Vec<_> = cookies.map(|value| value.to_str().unwrap()).collect();
        assert_eq!(cookies, ["a=1; Path=/", "b=2; Domain=app.localhost"]);
        assert_eq!(answer.fields["x-kept"], "yes");
        assert_eq!(answer.text(), "ok");
    }
}

/// Whoever has a domain of its own may share cookies below it.
#[tokio::test]
async fn cookies_of_an_own_domain_are_as_the_origin_said_them() {
    let world = World::start().await;
    let said = "a=1; Domain=customer.org";
    let head = format!("HTTP/1.1 200 OK\r\nset-cookie: {said}\r\ncontent-length: 0\r\n\r\n");
    let origin = Origin::saying(head).await;
    let url = format!("http://{}", origin.address);
    let own = |config: &mut adit_agent::config::Config| {
        config.tunnels[0].host = Some("app.customer.org".parse().unwrap());
    };
    let _agent = world.agent_with("", &url, own).await;
    let get = b"GET / HTTP/1.1\r\nhost: app.customer.org\r\nconnection: close\r\n\r\n";
    let answer = world.say(get).await;
    assert_eq!(answer.fields["set-cookie"], said);
}
