use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;

use super::challenge::answer;
use super::scheme::{Algorithm, KeyText, Scheme, Source};
use super::table::{ALIASES, PROVIDERS};
use super::*;
use crate::wire::fields::Fields;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn secrets(texts: &[&str]) -> Vec<Secret> {
    let secrets = texts.iter().map(|text| Secret::new(text).unwrap());
    secrets.collect()
}

fn check(
    name: &str,
    secret: &str,
    url: &str,
    fields: Pairs<'_>,
    body: &str,
    now: u64,
) -> Result<(), Unverified> {
    let fields = Fields::from_pairs(fields.iter().copied()).unwrap();
    let message = Message::new("POST", url, &fields, body.as_bytes());
    let provider = provider(name).unwrap();
    verify(provider, &secrets(&[secret]), &message, at(now), None)
}

#[test]
fn what_providers_give_as_examples_is_genuine() {
    let github = [(
        "X-Hub-Signature-256",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    )];
    let secret = "It's a Secret to Everybody";
    let checked = check("github", secret, "", &github, "Hello, World!", 0);
    assert_eq!(checked, Ok(()));
    let checked = check("github", secret, "", &github, "Hello, World?", 0);
    assert_eq!(checked, Err(Unverified::Mismatch));
    assert_eq!(
        check("github", secret, "", &[], "Hello, World!", 0),
        Err(Unverified::Unsigned)
    );

    let standard = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v2,eA== v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,g0hM",
        ),
    ];
    let (secret, body) = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        r#"{"test": 2432232314}"#,
    );
    let checked = |now| check("standard-webhooks", secret, "", &standard, body, now);
    assert_eq!(checked(1_614_265_330 + 300), Ok(()));
    assert_eq!(checked(1_614_265_330 + 301), Err(Unverified::Stale));
    assert_eq!(checked(1_614_265_330 - 301), Err(Unverified::Stale));
    let mut twice = standard.to_vec();
    twice.push(("webhook-id", "msg_other"));
    assert_eq!(
        check("openai", secret, "", &twice, body, 1_614_265_330),
        Err(Unverified::Malformed),
        "two ids: the app may take the other"
    );

    let slack = [
        ("x-slack-request-timestamp", "1531420618"),
        (
            "x-slack-signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        ),
    ];
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
        &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
        &command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands\
        %2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let secret = "8f742231b10e8888abcd99yyyzzz85a5";
    let checked = check("slack", secret, "", &slack, body, 1_531_420_618);
    assert_eq!(checked, Ok(()));

    let twilio = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    ];
    let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
    let body = "To=%2B18005551212&CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234\
        &From=%2B14158675309";
    assert_eq!(check("twilio", "12345", url, &twilio, body, 0), Ok(()));
    let other = "https://mycompany.com/myapp.php?foo=1&bar=3";
    assert_eq!(
        check("twilio", "12345", other, &twilio, body, 0),
        Err(Unverified::Mismatch)
    );
}

/// What is signed by the table is accepted by the table, and nothing else is.
#[test]
fn every_row_accepts_what_it_signs_and_refuses_what_was_changed() {
    let mut signed = 0;
    for provider in PROVIDERS {
        let is_public = |scheme: &Scheme| {
            matches!(scheme.algorithm, Algorithm::EcdsaP256)
                || matches!(scheme.key, KeyText::Audience | KeyText::Jwk)
                || (scheme.algorithm == Algorithm::Ed25519 && provider.name == "discord")
        };
        let is_in_body = |scheme: &Scheme| matches!(scheme.at[0], Source::Json(_));
        if provider
            .schemes
            .iter()
            .any(|s| is_public(s) || is_in_body(s))
        {
            continue;
        }
        signed += 1;
        let is_form = ["twilio", "mandrill"].contains(&provider.name);
        let (kind, body) = if is_form {
            ("application/x-www-form-urlencoded", "b=2&a=1%2B1")
        } else {
            ("application/json", r#"{"id":"e1","webhookTimestamp": 17}"#)
        };
        let fields = Fields::from_pairs([("content-type", kind)]).unwrap();
        let url = "https://a.test/hook?b=%3Ac&a=%20d";
        let message = Message::new("POST", url, &fields, body.as_bytes());
        let keys = secrets(&["b3RoZXI=", "c2VjcmV0"]);
        let made = sign(provider, &keys[1], &message, at(1_700_000_000)).unwrap();
        let body = made.body.as_deref().unwrap_or(body.as_bytes());
        let check = |keys: &[Secret], url: &str, body: &[u8], now| {
            let message = Message::new("POST", url, &made.fields, body);
            verify(provider, keys, &message, at(now), None)
        };
        let name = provider.name;
        assert_eq!(check(&keys, url, body, 1_700_000_000), Ok(()), "{name}");
        let refused = check(&keys[..1], url, body, 1_700_000_000);
        assert_eq!(refused, Err(Unverified::Mismatch), "{name}: another secret");
        let scheme = &provider.schemes[0];
        if scheme.algorithm != Algorithm::Plain {
            let other = [body, b" "].concat();
            let refused = check(&keys, url, &other, 1_700_000_000);
            assert_eq!(refused, Err(Unverified::Mismatch), "{name}: another body");
        }
        if let Some(time) = scheme.time.filter(|time| time.tolerance.is_some()) {
            let late = 1_700_000_001 + time.tolerance.unwrap().as_secs();
            let refused = check(&keys, url, body, late);
            assert_eq!(refused, Err(Unverified::Stale), "{name}");
        }
    }
    assert!(signed > 30, "{signed}");
}

/// What Contentful's own toolkit (@contentful/node-apps-toolkit) made of these requests.
#[test]
fn contentfuls_signature_is_of_the_fields_that_it_lists() {
    let mut fields = [
        ("x-contentful-topic", "ContentManagement.Entry.publish"),
        (
            "content-type",
            "application/vnd.contentful.management.v1+json",
        ),
        (
            "x-contentful-signed-headers",
            "content-type,x-contentful-signed-headers,x-contentful-timestamp,x-contentful-topic",
        ),
        ("x-contentful-timestamp", "1700000000123"),
        ("x-contentful-signature", ""),
    ];
    let (secret, body) = ("s".repeat(64), r#"{"sys":{"id":"7"}}"#);
    let now = 1_700_000_000;
    for (url, signature) in [
        (
            "https://a.test/hooks/contentful",
            "d293aa8a5edcc3c350cc38042db5dec3f6e0ee760523ab7075bf7ca91976fee9",
        ),
        (
            "https://a.test/hooks/a%20b?x=1&y=%2F",
            "f406fdf143fb68f277d460909e412eac633bde12ecea7cfa7d0af62d21834dac",
        ),
    ] {
        fields[4].1 = signature;
        let checked = |fields: Pairs<'_>, now| check("contentful", &secret, url, fields, body, now);
        assert_eq!(checked(&fields, now), Ok(()), "{url}");
        assert_eq!(checked(&fields, now + 31), Err(Unverified::Stale));
        let mut other = fields;
        other[0].1 = "ContentManagement.Entry.delete";
        assert_eq!(checked(&other, now), Err(Unverified::Mismatch));
        let mut timeless = fields;
        timeless[2].1 = "content-type,x-contentful-signed-headers,x-contentful-topic";
        assert_eq!(checked(&timeless, now), Err(Unverified::Malformed));
        let mut missing = fields;
        missing[1].0 = "x-other";
        assert_eq!(checked(&missing, now), Err(Unverified::Malformed));
    }
}

#[test]
fn a_replay_is_signed_anew_and_keeps_its_id() {
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let fields = [
        ("svix-id", "msg_1"),
        ("svix-timestamp", "1"),
        ("x-other", "stays"),
        ("svix-signature", "v1,b2xk"),
    ];
    let fields = Fields::from_pairs(fields).unwrap();
    let message = Message::new("POST", "", &fields, b"{}");
    let svix = provider("clerk").unwrap();
    let made = sign(svix, &secret, &message, at(1000)).unwrap();
    let message = Message::new("POST", "", &made.fields, b"{}");
    assert_eq!(verify(svix, &[secret], &message, at(1000), None), Ok(()));
    let get = |name: &str| made.fields.get_all(name).collect::<Vec<_>>();
    assert_eq!(get("svix-id"), [b"msg_1"]);
    assert_eq!(get("svix-timestamp"), [b"1000"]);
    assert_eq!(get("svix-signature").len(), 1);
    assert_eq!(get("x-other"), [b"stays"]);

    let linear = provider("linear").unwrap();
    let body = br#"{"a":{"webhookTimestamp":"x"}, "webhookTimestamp" : 12 }"#;
    let message = Message::new("POST", "", &fields, body);
    let secret = Secret::new("s").unwrap();
    let made = sign(linear, &secret, &message, at(1000)).unwrap();
    let expected = br#"{"a":{"webhookTimestamp":"x"}, "webhookTimestamp" : 1000000 }"#;
    assert_eq!(made.body.as_deref(), Some(&expected[..]));
}

#[test]
fn public_keys_verify_and_do_not_sign() {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    };
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = HEXLOWER.encode(pair.public_key().as_ref());
    let signature = HEXLOWER.encode(pair.sign(b"1700000000{}").as_ref());
    let fields = [
        ("x-signature-ed25519", signature.as_str()),
        ("x-signature-timestamp", "1700000000"),
    ];
    let checked = |body| check("discord", &public, "", &fields, body, 1_700_000_000);
    assert_eq!(checked("{}"), Ok(()));
    assert_eq!(checked("{ }"), Err(Unverified::Mismatch));
    let fields = Fields::from_pairs(fields).unwrap();
    let message = Message::new("POST", "", &fields, b"{}");
    let discord = provider("discord").unwrap();
    let public = Secret::new(&public).unwrap();
    let refused = sign(discord, &public, &message, at(0));
    assert!(matches!(refused, Err(SignError::Public("discord"))));

    let whsk = Secret::new(&format!("whsk_{}", STANDARD.encode([7; 32]))).unwrap();
    let whpk = format!("whpk_{}", STANDARD.encode(pair.public_key().as_ref()));
    let whpk = Secret::new(&whpk).unwrap();
    let standard = provider("standard-webhooks").unwrap();
    let made = sign(standard, &whsk, &message, at(1000)).unwrap();
    let message = Message::new("POST", "", &made.fields, b"{}");
    let value = made.fields.get("webhook-signature").unwrap();
    assert!(value.starts_with(b"v1a,"));
    assert_eq!(verify(standard, &[whpk], &message, at(1000), None), Ok(()));

    let alg = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pair = EcdsaKeyPair::generate(alg).unwrap();
    let random = aws_lc_rs::rand::SystemRandom::new();
    let signature = pair.sign(&random, b"1600112502[{}]\r\n").unwrap();
    let signature = STANDARD.encode(signature.as_ref());
    // The DER of a P-256 key is this, then the point.
    let start = HEXLOWER
        .decode(b"3059301306072a8648ce3d020106082a8648ce3d030107034200")
        .unwrap();
    let public = STANDARD.encode([&start, pair.public_key().as_ref()].concat());
    let fields = [
        ("x-twilio-email-event-webhook-signature", signature.as_str()),
        ("x-twilio-email-event-webhook-timestamp", "1600112502"),
    ];
    let checked = |body| check("sendgrid", &public, "", &fields, body, 0);
    assert_eq!(checked("[{}]\r\n"), Ok(()));
    assert_eq!(checked("[{}]"), Err(Unverified::Mismatch));
}

#[test]
fn a_json_body_of_twilio_is_bound_by_its_digest_in_the_url() {
    let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let url = format!("https://a.test/x?bodySHA256={digest}");
    let fields = Fields::from_pairs([("content-type", "application/json")]).unwrap();
    let twilio = provider("twilio").unwrap();
    let keys = secrets(&["12345"]);
    let made = sign(
        twilio,
        &keys[0],
        &Message::new("POST", &url, &fields, b"{}"),
        at(0),
    );
    let made = made.unwrap();
    let check = |url: &str, body: &[u8]| {
        let message = Message::new("POST", url, &made.fields, body);
        verify(twilio, &keys, &message, at(0), None)
    };
    assert_eq!(check(&url, b"{}"), Ok(()));
    assert_eq!(check(&url, b"{ }"), Err(Unverified::Mismatch));
    assert_eq!(
        check("https://a.test/x", b"{}"),
        Err(Unverified::Malformed),
        "the signature of a URL alone says nothing of a body"
    );
}

#[test]
fn requests_are_recognised_by_their_fields_alone() {
    let seen = |pairs: Pairs<'_>| {
        let fields = Fields::from_pairs(pairs.iter().copied()).unwrap();
        recognise(&fields).map(|provider| provider.name)
    };
    assert_eq!(seen(&[("x-hub-signature-256", "sha256=00")]), Some("meta"));
    let github = [
        ("x-hub-signature-256", "sha256=00"),
        ("x-github-event", "push"),
    ];
    assert_eq!(seen(&github), Some("github"));
    let gitlab = [
        ("webhook-signature", "v1,"),
        ("x-gitlab-event", "Push Hook"),
    ];
    assert_eq!(seen(&gitlab), Some("gitlab"));
    assert_eq!(seen(&[("x-hub-signature", "sha1=00")]), Some("intercom"));
    assert_eq!(seen(&[("x-hub-signature", "sha256=00")]), None);
    assert_eq!(seen(&[("authorization", "Bearer HMAC ")]), None);
    assert_eq!(seen(&[("authorization", "HMAC eA==")]), Some("teams"));
    assert_eq!(seen(&[("content-type", "application/json")]), None);
}

#[test]
fn events_and_ids_stand_where_the_table_says() {
    let told = |name: &str, pairs: Pairs<'_>, body: &str| {
        let fields = Fields::from_pairs(pairs.iter().copied()).unwrap();
        let message = Message::new("POST", "", &fields, body.as_bytes());
        let provider = provider(name).unwrap();
        (provider.event(&message), provider.id(&message))
    };
    let some = |event: &str, id: &str| (Some(event.to_owned()), Some(id.to_owned()));
    let fields = [("x-github-event", "push"), ("x-github-delivery", "7")];
    assert_eq!(told("github", &fields, "not json"), some("push", "7"));
    let body = r#" {"id":"evt_1","type":"charge.failed"}"#;
    assert_eq!(told("stripe", &[], body), some("charge.failed", "evt_1"));
    let body = r#"[{"subscriptionType":"contact.creation","eventId":12}]"#;
    assert_eq!(told("hubspot", &[], body), some("contact.creation", "12"));
    let fields = [("content-type", "application/x-www-form-urlencoded; a=b")];
    let body = "command=%2Fgo+now&trigger_id=9";
    assert_eq!(told("slack", &fields, body), some("/go now", "9"));
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(201));
    assert_eq!(told("stripe", &[], &long), (None, None));
}

#[test]
fn challenges_are_answered_and_nothing_else_is() {
    let ask = |name: &str, method: &str, url: &str, body: &str, verified| {
        let fields = Fields::new();
        let message = Message::new(method, url, &fields, body.as_bytes());
        let found = answer(
            provider(name).unwrap(),
            &message,
            &secrets(&["12345"]),
            verified,
        );
        found.map(|answer| (answer.status, answer.body))
    };
    let ok = |body: &str| Some((200, body.to_owned()));
    let url = "https://a.test/?hub.mode=subscribe&hub.challenge=1158%3C&hub.verify_token=t";
    assert_eq!(ask("meta", "GET", url, "", false), ok("1158<"));
    assert_eq!(ask("meta", "POST", url, "", true), None);
    let body = r#"{"type":"url_verification","challenge":"3eZbrw"}"#;
    assert_eq!(ask("slack", "POST", "", body, true), ok("3eZbrw"));
    assert_eq!(ask("slack", "POST", "", body, false), None);
    let event = r#"{"type":"event_callback","challenge":"3eZbrw"}"#;
    assert_eq!(ask("slack", "POST", "", event, true), None);
    let body =
        r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#;
    let (status, said) = ask("zoom", "POST", "", body, true).unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (status, &said["plainToken"]),
        (200, &"qgg8vlvZRS6UYooatFL8Aw".into())
    );
    assert_eq!(said["encryptedToken"].as_str().unwrap().len(), 64);
    assert_eq!(ask("zoom", "POST", "", body, false), None);
    let url = "https://a.test/?crc_token=abc&nonce=1";
    let (_, said) = ask("x", "GET", url, "", false).unwrap();
    assert!(said.starts_with(r#"{"response_token":"sha256="#), "{said}");
    let url = "https://a.test/?challenge=a%0Ab";
    assert_eq!(ask("dropbox", "GET", url, "", false), None, "two lines");
    let url = "https://a.test/?validationToken=Val%3a+1";
    assert_eq!(ask("msgraph", "POST", url, "", false), ok("Val: 1"));
    assert_eq!(
        ask("discord", "POST", "", r#"{"type":1}"#, true),
        ok(r#"{"type":1}"#)
    );
    let event = r#"{"type":1,"event":{"type":"ENTITLEMENT_CREATE"}}"#;
    assert_eq!(ask("discord", "POST", "", event, true), None);
    assert_eq!(
        ask("discord", "POST", "", r#"{"type":0}"#, true),
        Some((204, String::new()))
    );
    assert_eq!(ask("xero", "POST", "", r#"{"events":[]}"#, true), ok(""));
    assert_eq!(ask("xero", "POST", "", r#"{"events":[{}]}"#, true), None);
}

#[test]
fn the_table_is_consistent() {
    for (at, provider) in PROVIDERS.iter().enumerate() {
        let name = provider.name;
        assert!(PROVIDERS[..at].iter().all(|other| other.name != name));
        let is_lower = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(name.chars().all(is_lower), "{name}");
        assert!(!provider.schemes.is_empty(), "{name}");
        for scheme in provider.schemes {
            assert!(scheme.between.is_ascii() && !scheme.at.is_empty());
        }
    }
    for (alias, name) in ALIASES {
        assert!(PROVIDERS.iter().all(|p| p.name != *alias), "{alias}");
        assert!(PROVIDERS.iter().any(|p| p.name == *name), "{name}");
    }
    assert!(!format!("{:?}", secrets(&["canary"])).contains("canary"));
}

proptest::proptest! {
    /// Whatever a stranger sends: an answer, and never that it is genuine.
    #[test]
    fn no_request_is_genuine_by_chance_and_none_is_too_strange(
        row in 0..PROVIDERS.len(),
        values in proptest::collection::vec("[ -~]{0,40}", 6),
        prefixed in proptest::bool::ANY,
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        json in r#"\{"(type|id|webhookTimestamp)": ?("[a-z]{0,3}|-?[0-9]{0,20}|\[)"?\}?"#,
        query in "[?a-zA-Z0-9%&=+._-]{0,60}",
        form in proptest::bool::ANY,
    ) {
        let provider = &PROVIDERS[row];
        let mut fields = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        if !form {
            fields.clear();
        }
        let names = provider.schemes.iter().flat_map(|scheme| {
            let at = scheme.at.iter().map(|at| match at {
                Source::Field(name) => (*name, scheme.prefix),
                Source::Json(_) | Source::Form(_) => ("x-other", ""),
            });
            at.chain(scheme.id.map(|name| (name, "")))
        });
        for ((name, prefix), value) in names.zip(&values) {
            let prefix = if prefixed { prefix } else { "" };
            fields.push((name, format!("{prefix}{value}").trim().to_owned()));
        }
        let fields = Fields::from_pairs(fields).unwrap();
        recognise(&fields);
        let url = format!("https://a.test/{query}");
        for body in [&body[..], json.as_bytes(), query.as_bytes()] {
            let message = Message::new("GET", &url, &fields, body);
            drop((provider.event(&message), provider.id(&message)));
            // A secret that is random, so that not even a plain one is sent by chance.
            let keys = secrets(&["bm9ib2R5IGd1ZXNzZXMgdGhpcw=="]);
            let checked = verify(provider, &keys, &message, at(1000), None);
            proptest::prop_assert!(checked.is_err());
            answer(provider, &message, &keys, true);
            let Ok(signed) = sign(provider, &keys[0], &message, at(1000)) else {
                continue;
            };
            let body = signed.body.as_deref().unwrap_or(body);
            let message = Message::new("GET", &url, &signed.fields, body);
            let checked = verify(provider, &keys, &message, at(1000), None);
            proptest::prop_assert_eq!(checked, Ok(()), "what is signed here is accepted here");
        }
    }
}
