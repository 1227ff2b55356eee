//! Sample events: small, and with what handlers look at first.

use serde_json::{Value, json};

/// The events that there are samples of.
pub(super) fn events(provider: &str) -> &'static [&'static str] {
    match provider {
        "github" => &["push", "pull_request", "ping"],
        "stripe" => &[
            "payment_intent.succeeded",
            "checkout.session.completed",
            "invoice.paid",
        ],
        "slack" => &["message", "app_mention", "url_verification"],
        "shopify" => &["orders/create", "app/uninstalled"],
        "standard-webhooks" | "svix" => &["user.created"],
        _ => &[],
    }
}

/// A body of `event`, which is called `id` and happened at `now`, in seconds since 1970.
pub(super) fn body(provider: &str, event: &str, id: &str, now: u64) -> Option<Value> {
    match provider {
        "github" => github(event),
        "stripe" => {
            let object = stripe(event, now)?;
            Some(json!({
                "id": id,
                "object": "event",
                "api_version": "2025-03-31.basil",
                "created": now,
                "data": {"object": object},
                "livemode": false,
                "pending_webhooks": 1,
                "request": {"id": null, "idempotency_key": null},
                "type": event,
            }))
        }
        "slack" => slack(event, id, now),
        "shopify" => shopify(event),
        // What the specification proposes, for any type of event.
        "standard-webhooks" | "svix" => Some(json!({
            "type": event,
            "timestamp": jiff::Timestamp::from_second(now as i64).unwrap_or_default().to_string(),
            "data": {"id": "usr_sample", "email": "ada@example.com"},
        })),
        _ => None,
    }
}

/// What else a provider sends in its head, and its own package asks for.
pub(super) fn fields(provider: &str, id: &str) -> Vec<(&'static str, String)> {
    match provider {
        "shopify" => vec![
            ("x-shopify-api-version", "2025-01".to_owned()),
            ("x-shopify-shop-domain", "sample.myshopify.com".to_owned()),
            ("x-shopify-webhook-id", id.to_owned()),
        ],
        _ => Vec::new(),
    }
}

fn github(event: &str) -> Option<Value> {
    let sender = json!({"login": "octo-sample", "id": 1, "type": "User"});
    let repository = json!({
        "id": 1,
        "name": "sample",
        "full_name": "octo-sample/sample",
        "private": false,
        "owner": sender,
        "default_branch": "main",
        "html_url": "https://github.com/octo-sample/sample",
    });
    let mut body = match event {
        "push" => {
            let commit = json!({
                "id": AFTER,
                "message": "A sample commit",
                "timestamp": "2026-01-01T00:00:00Z",
                "author": {"name": "Ada", "email": "ada@example.com"},
                "added": [],
                "removed": [],
                "modified": ["README.md"],
            });
            json!({
                "ref": "refs/heads/main",
                "before": BEFORE,
                "after": AFTER,
                "created": false,
                "deleted": false,
                "forced": false,
                "commits": [commit],
                "head_commit": commit,
                "pusher": {"name": "octo-sample", "email": "ada@example.com"},
            })
        }
        "pull_request" => json!({
            "action": "opened",
            "number": 1,
            "pull_request": {
                "id": 1,
                "number": 1,
                "state": "open",
                "title": "A sample pull request",
                "body": null,
                "user": sender,
                "head": {"ref": "sample", "sha": AFTER},
                "base": {"ref": "main", "sha": BEFORE},
                "merged": false,
            },
        }),
        "ping" => json!({
            "zen": "A sample says more than a page.",
            "hook_id": 1,
            "hook": {"type": "Repository", "id": 1, "active": true, "events": ["push"]},
        }),
        _ => return None,
    };
    body["repository"] = repository;
    body["sender"] = sender;
    Some(body)
}

fn stripe(event: &str, now: u64) -> Option<Value> {
    Some(match event {
        "payment_intent.succeeded" => json!({
            "id": "pi_sample",
            "object": "payment_intent",
            "amount": 2000,
            "amount_received": 2000,
            "created": now,
            "currency": "eur",
            "livemode": false,
            "metadata": {},
            "status": "succeeded",
        }),
        "checkout.session.completed" => json!({
            "id": "cs_test_sample",
            "object": "checkout.session",
            "amount_total": 2000,
            "created": now,
            "currency": "eur",
            "customer_details": {"email": "ada@example.com"},
            "livemode": false,
            "metadata": {},
            "mode": "payment",
            "payment_intent": "pi_sample",
            "payment_status": "paid",
            "status": "complete",
        }),
        "invoice.paid" => json!({
            "id": "in_sample",
            "object": "invoice",
            "amount_due": 2000,
            "amount_paid": 2000,
            "created": now,
            "currency": "eur",
            "customer": "cus_sample",
            "livemode": false,
            "status": "paid",
        }),
        _ => return None,
    })
}

fn slack(event: &str, id: &str, now: u64) -> Option<Value> {
    let inner = match event {
        "message" => json!({
            "type": "message",
            "channel": "C0SAMPLE",
            "channel_type": "channel",
            "user": "U0SAMPLE",
            "text": "hello",
            "ts": format!("{now}.000100"),
        }),
        "app_mention" => json!({
            "type": "app_mention",
            "channel": "C0SAMPLE",
            "user": "U0SAMPLE",
            "text": "<@U0BOT> hello",
            "ts": format!("{now}.000100"),
        }),
        "url_verification" => {
            return Some(json!({
                "type": "url_verification",
                "token": "sample",
                "challenge": id,
            }));
        }
        _ => return None,
    };
    Some(json!({
        "type": "event_callback",
        "team_id": "T0SAMPLE",
        "api_app_id": "A0SAMPLE",
        "event": inner,
        "event_id": id,
        "event_time": now,
    }))
}

fn shopify(event: &str) -> Option<Value> {
    match event {
        "orders/create" => Some(json!({
            "id": 820_982_911,
            "name": "#1001",
            "email": "ada@example.com",
            "currency": "EUR",
            "total_price": "20.00",
            "financial_status": "paid",
            "line_items": [
                {"id": 1, "title": "Sample", "quantity": 1, "price": "20.00", "sku": "S-1"},
            ],
        })),
        "app/uninstalled" => Some(json!({
            "id": 1,
            "name": "Sample shop",
            "myshopify_domain": "sample.myshopify.com",
        })),
        _ => None,
    }
}

const BEFORE: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const AFTER: &str = "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c";

#[cfg(test)]
mod tests {
    use super::*;
    use adit_shared::webhook::table::PROVIDERS;
    use adit_shared::webhook::{Message, provider};
    use adit_shared::wire::fields::Fields;

    /// What is sent is recognised as what it was meant to be, by the same table.
    #[test]
    fn every_sample_has_its_event_and_id() {
        let mut count = 0;
        for name in PROVIDERS.iter().map(|provider| provider.name) {
            for event in events(name) {
                count += 1;
                let body = body(name, event, "id1", 1000).unwrap().to_string();
                let fields = super::super::send::fields(provider(name).unwrap(), event, "id1");
                let fields = Fields::from_pairs(fields).unwrap();
                let message = Message::new("POST", "", &fields, body.as_bytes());
                let told = provider(name).unwrap();
                assert_eq!(told.event(&message).as_deref(), Some(*event), "{name}");
                if *event != "url_verification" {
                    assert_eq!(told.id(&message).as_deref(), Some("id1"), "{name}");
                }
            }
        }
        assert!(count >= 10);
        assert_eq!(body("github", "nothing", "", 0), None);
    }
}
