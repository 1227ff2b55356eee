//! The table: a row for each provider. Where two could be meant, the first is.

use std::time::Duration;

use super::scheme::Source::{Field, Form, Json};
use super::scheme::{
    Algorithm, Certificate, Challenge, Encoding, KeyText, Mark, Piece, Place, Provider, Scheme,
    Time, TimeAt, Unit,
};

/// All providers.
pub const PROVIDERS: &[Provider] = &[
    Provider {
        name: "github",
        marks: &[Mark::Field("x-github-event")],
        event: &[Field("x-github-event")],
        id: &[Field("x-github-delivery")],
        schemes: &[Scheme {
            at: &[Field("x-hub-signature-256")],
            prefix: "sha256=",
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "gitlab",
        marks: &[Mark::Field("x-gitlab-event")],
        event: &[Field("x-gitlab-event")],
        id: &[
            Field("webhook-id"),
            Field("idempotency-key"),
            Field("x-gitlab-event-uuid"),
        ],
        schemes: &[
            STANDARD,
            Scheme {
                at: &[Field("x-gitlab-token")],
                ..PLAIN
            },
        ],
        challenge: None,
    },
    Provider {
        name: "stripe",
        marks: &[Mark::Field("stripe-signature")],
        event: &[Json("/type")],
        id: &[Json("/id")],
        schemes: &[Scheme {
            at: &[Field("stripe-signature")],
            between: ',',
            prefix: "v1=",
            signed: &[Piece::Time, Piece::Text("."), Piece::Body],
            time: Some(beside("t=", Some(300))),
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "slack",
        marks: &[Mark::Field("x-slack-signature")],
        event: &[
            Json("/event/type"),
            Json("/type"),
            Form("command"),
            Form("type"),
        ],
        id: &[Json("/event_id"), Form("trigger_id")],
        schemes: &[Scheme {
            at: &[Field("x-slack-signature")],
            prefix: "v0=",
            signed: &[
                Piece::Text("v0:"),
                Piece::Time,
                Piece::Text(":"),
                Piece::Body,
            ],
            time: Some(seconds("x-slack-request-timestamp", Some(300))),
            ..HEX
        }],
        challenge: Some(Challenge::Slack),
    },
    Provider {
        name: "shopify",
        marks: &[
            Mark::Field("x-shopify-topic"),
            Mark::Field("x-shopify-hmac-sha256"),
        ],
        event: &[Field("x-shopify-topic")],
        id: &[Field("x-shopify-event-id"), Field("x-shopify-webhook-id")],
        schemes: &[Scheme {
            at: &[Field("x-shopify-hmac-sha256")],
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "twilio",
        marks: &[Mark::Field("x-twilio-signature")],
        event: &[
            Form("SmsStatus"),
            Form("MessageStatus"),
            Form("CallStatus"),
            Form("EventType"),
        ],
        id: &[Field("i-twilio-idempotency-token")],
        schemes: &[Scheme {
            at: &[Field("x-twilio-signature")],
            algorithm: Algorithm::HmacSha1,
            signed: &[Piece::Url, Piece::Form(Some("bodySHA256"))],
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "sendgrid",
        marks: &[Mark::Field("x-twilio-email-event-webhook-signature")],
        event: &[Json("/0/event")],
        id: &[Json("/0/sg_event_id")],
        schemes: &[Scheme {
            at: &[Field("x-twilio-email-event-webhook-signature")],
            algorithm: Algorithm::EcdsaP256,
            key: KeyText::Der,
            signed: &[Piece::Time, Piece::Body],
            time: Some(seconds("x-twilio-email-event-webhook-timestamp", None)),
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "hubspot",
        marks: &[
            Mark::Field("x-hubspot-signature-v3"),
            Mark::Field("x-hubspot-signature"),
        ],
        event: &[Json("/0/subscriptionType"), Json("/subscriptionType")],
        id: &[Json("/0/eventId"), Json("/eventId")],
        schemes: &[Scheme {
            at: &[Field("x-hubspot-signature-v3")],
            signed: &[Piece::Method, Piece::UnescapedUrl, Piece::Body, Piece::Time],
            time: Some(Time {
                at: TimeAt::Source(Field("x-hubspot-request-timestamp")),
                unit: Unit::Milliseconds,
                tolerance: Some(Duration::from_secs(300)),
            }),
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "zoom",
        marks: &[Mark::Field("x-zm-signature")],
        event: &[Json("/event")],
        id: &[Field("x-zm-trackingid")],
        schemes: &[Scheme {
            at: &[Field("x-zm-signature")],
            prefix: "v0=",
            signed: &[
                Piece::Text("v0:"),
                Piece::Time,
                Piece::Text(":"),
                Piece::Body,
            ],
            time: Some(seconds("x-zm-request-timestamp", Some(300))),
            ..HEX
        }],
        challenge: Some(Challenge::Zoom),
    },
    Provider {
        name: "square",
        marks: &[Mark::Field("x-square-hmacsha256-signature")],
        event: &[Json("/type")],
        id: &[Json("/event_id")],
        schemes: &[Scheme {
            at: &[Field("x-square-hmacsha256-signature")],
            signed: &[Piece::Url, Piece::Body],
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "discord",
        marks: &[Mark::Field("x-signature-ed25519")],
        event: &[Json("/event/type"), Json("/type")],
        id: &[Json("/id")],
        schemes: &[Scheme {
            at: &[Field("x-signature-ed25519")],
            algorithm: Algorithm::Ed25519,
            key: KeyText::Hex,
            signed: &[Piece::Time, Piece::Body],
            time: Some(seconds("x-signature-timestamp", None)),
            ..HEX
        }],
        challenge: Some(Challenge::Discord),
    },
    Provider {
        name: "linear",
        marks: &[Mark::Field("linear-signature")],
        event: &[Field("linear-event"), Json("/type")],
        id: &[Field("linear-delivery")],
        schemes: &[Scheme {
            at: &[Field("linear-signature")],
            time: Some(Time {
                at: TimeAt::Source(Json("/webhookTimestamp")),
                unit: Unit::Milliseconds,
                tolerance: Some(Duration::from_secs(60)),
            }),
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "jira",
        marks: &[Mark::Field("x-atlassian-webhook-identifier")],
        event: &[Json("/webhookEvent")],
        id: &[Field("x-atlassian-webhook-identifier")],
        schemes: &[HUB],
        challenge: None,
    },
    Provider {
        name: "bitbucket",
        marks: &[Mark::Field("x-hook-uuid")],
        event: &[Field("x-event-key")],
        id: &[Field("x-request-uuid")],
        schemes: &[HUB],
        challenge: None,
    },
    Provider {
        name: "typeform",
        marks: &[Mark::Field("typeform-signature")],
        event: &[Json("/event_type")],
        id: &[Json("/event_id")],
        schemes: &[Scheme {
            at: &[Field("typeform-signature")],
            prefix: "sha256=",
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "mandrill",
        marks: &[
            Mark::Field("x-mandrill-signature"),
            Mark::Field("x-mailchimp-signature"),
        ],
        event: &[],
        id: &[],
        schemes: &[Scheme {
            at: &[
                Field("x-mandrill-signature"),
                Field("x-mailchimp-signature"),
            ],
            algorithm: Algorithm::HmacSha1,
            signed: &[Piece::Url, Piece::Form(None)],
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "x",
        marks: &[Mark::Field("x-twitter-webhooks-signature")],
        event: &[],
        id: &[],
        schemes: &[Scheme {
            at: &[Field("x-twitter-webhooks-signature")],
            prefix: "sha256=",
            ..BASE64
        }],
        challenge: Some(Challenge::X),
    },
    Provider {
        name: "paddle",
        marks: &[Mark::Field("paddle-signature")],
        event: &[Json("/event_type")],
        id: &[Json("/event_id"), Json("/notification_id")],
        schemes: &[Scheme {
            at: &[Field("paddle-signature")],
            between: ';',
            prefix: "h1=",
            signed: &[Piece::Time, Piece::Text(":"), Piece::Body],
            time: Some(beside("ts=", Some(5))),
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "webflow",
        marks: &[Mark::Field("x-webflow-signature")],
        event: &[Json("/triggerType")],
        id: &[],
        schemes: &[Scheme {
            at: &[Field("x-webflow-signature")],
            signed: &[Piece::Time, Piece::Text(":"), Piece::Body],
            time: Some(Time {
                at: TimeAt::Source(Field("x-webflow-timestamp")),
                unit: Unit::Milliseconds,
                tolerance: Some(Duration::from_secs(300)),
            }),
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "elevenlabs",
        marks: &[Mark::Field("elevenlabs-signature")],
        event: &[Json("/type")],
        id: &[],
        schemes: &[Scheme {
            at: &[Field("elevenlabs-signature")],
            between: ',',
            prefix: "v0=",
            signed: &[Piece::Time, Piece::Text("."), Piece::Body],
            time: Some(beside("t=", Some(1800))),
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "zendesk",
        marks: &[Mark::Field("x-zendesk-webhook-signature")],
        event: &[Json("/type")],
        id: &[Field("x-zendesk-webhook-invocation-id")],
        schemes: &[Scheme {
            at: &[Field("x-zendesk-webhook-signature")],
            signed: &[Piece::Time, Piece::Body],
            time: Some(Time {
                at: TimeAt::Source(Field("x-zendesk-webhook-signature-timestamp")),
                unit: Unit::Date,
                tolerance: None,
            }),
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "pagerduty",
        marks: &[Mark::Field("x-pagerduty-signature")],
        event: &[Json("/event/event_type")],
        id: &[Json("/event/id")],
        schemes: &[Scheme {
            at: &[Field("x-pagerduty-signature")],
            between: ',',
            prefix: "v1=",
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "sentry",
        marks: &[Mark::Field("sentry-hook-resource")],
        event: &[Field("sentry-hook-resource")],
        id: &[Field("request-id")],
        schemes: &[Scheme {
            at: &[Field("sentry-hook-signature")],
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "mailgun",
        marks: &[Mark::Value("user-agent", "mailgun")],
        event: &[Json("/event-data/event")],
        id: &[Json("/event-data/id"), Json("/signature/token")],
        schemes: &[Scheme {
            at: &[Json("/signature/signature")],
            signed: &[Piece::Time, Piece::Json("/signature/token")],
            time: Some(Time {
                at: TimeAt::Source(Json("/signature/timestamp")),
                unit: Unit::Seconds,
                tolerance: None,
            }),
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "calendly",
        marks: &[Mark::Field("calendly-webhook-signature")],
        event: &[Json("/event")],
        id: &[],
        schemes: &[Scheme {
            at: &[Field("calendly-webhook-signature")],
            between: ',',
            prefix: "v1=",
            signed: &[Piece::Time, Piece::Text("."), Piece::Body],
            time: Some(beside("t=", Some(180))),
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "docusign",
        marks: &[Mark::Field("x-docusign-signature-1")],
        event: &[Json("/event")],
        id: &[],
        schemes: &[Scheme {
            at: &[
                Field("x-docusign-signature-1"),
                Field("x-docusign-signature-2"),
                Field("x-docusign-signature-3"),
                Field("x-docusign-signature-4"),
            ],
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "dropbox",
        marks: &[Mark::Field("x-dropbox-signature")],
        event: &[],
        id: &[],
        schemes: &[Scheme {
            at: &[Field("x-dropbox-signature")],
            ..HEX
        }],
        challenge: Some(Challenge::Dropbox),
    },
    Provider {
        name: "xero",
        marks: &[Mark::Field("x-xero-signature")],
        event: &[Json("/events/0/eventType")],
        id: &[],
        schemes: &[Scheme {
            at: &[Field("x-xero-signature")],
            ..BASE64
        }],
        challenge: Some(Challenge::Xero),
    },
    Provider {
        name: "telegram",
        marks: &[Mark::Field("x-telegram-bot-api-secret-token")],
        event: &[],
        id: &[Json("/update_id")],
        schemes: &[Scheme {
            at: &[Field("x-telegram-bot-api-secret-token")],
            ..PLAIN
        }],
        challenge: None,
    },
    Provider {
        name: "teams",
        marks: &[Mark::Value("authorization", "HMAC ")],
        event: &[Json("/type")],
        id: &[Json("/id")],
        schemes: &[Scheme {
            at: &[Field("authorization")],
            prefix: "HMAC ",
            key: KeyText::Base64,
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "microsoft-graph",
        marks: &[],
        event: &[Json("/value/0/changeType")],
        id: &[Json("/value/0/id")],
        schemes: &[Scheme {
            at: &[Json("/value/0/clientState")],
            ..PLAIN
        }],
        challenge: Some(Challenge::MicrosoftGraph),
    },
    Provider {
        name: "trello",
        marks: &[Mark::Field("x-trello-webhook")],
        event: &[Json("/action/type")],
        id: &[Json("/action/id")],
        schemes: &[Scheme {
            at: &[Field("x-trello-webhook")],
            algorithm: Algorithm::HmacSha1,
            signed: &[Piece::Body, Piece::Url],
            ..BASE64
        }],
        challenge: Some(Challenge::Trello),
    },
    Provider {
        name: "woocommerce",
        marks: &[Mark::Field("x-wc-webhook-topic")],
        event: &[Field("x-wc-webhook-topic")],
        id: &[Field("x-wc-webhook-delivery-id")],
        schemes: &[Scheme {
            at: &[Field("x-wc-webhook-signature")],
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "heroku",
        marks: &[Mark::Field("heroku-webhook-hmac-sha256")],
        event: &[Json("/webhook_metadata/event/include"), Json("/resource")],
        id: &[Json("/webhook_metadata/event/id"), Json("/id")],
        schemes: &[Scheme {
            at: &[Field("heroku-webhook-hmac-sha256")],
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "coinbase-commerce",
        marks: &[Mark::Field("x-cc-webhook-signature")],
        event: &[Json("/event/type")],
        id: &[Json("/event/id")],
        schemes: &[Scheme {
            at: &[Field("x-cc-webhook-signature")],
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "paypal",
        marks: &[Mark::Field("paypal-transmission-id")],
        event: &[Json("/event_type")],
        id: &[Json("/id"), Field("paypal-transmission-id")],
        schemes: &[Scheme {
            at: &[Field("paypal-transmission-sig")],
            algorithm: Algorithm::RsaSha256,
            key: KeyText::Audience,
            signed: &[
                Piece::Id,
                Piece::Text("|"),
                Piece::Time,
                Piece::Text("|"),
                Piece::Secret,
                Piece::Text("|"),
                Piece::Crc32,
            ],
            id: Some("paypal-transmission-id"),
            time: Some(Time {
                at: TimeAt::Source(Field("paypal-transmission-time")),
                unit: Unit::Date,
                tolerance: None,
            }),
            when: Some((Field("paypal-auth-algo"), "SHA256withRSA")),
            certificate: Some(Certificate {
                at: Field("paypal-cert-url"),
                places: PAYPAL,
            }),
            ..BASE64
        }],
        challenge: None,
    },
    Provider {
        name: "sns",
        marks: &[Mark::Field("x-amz-sns-message-type")],
        event: &[Field("x-amz-sns-message-type")],
        id: &[Field("x-amz-sns-message-id")],
        schemes: &[
            Scheme {
                algorithm: Algorithm::RsaSha256,
                when: Some((Json("/SignatureVersion"), "2")),
                ..SNS
            },
            SNS,
        ],
        challenge: Some(Challenge::Sns),
    },
    Provider {
        name: "plaid",
        marks: &[Mark::Field("plaid-verification")],
        event: &[Json("/webhook_code")],
        id: &[],
        schemes: &[Scheme {
            at: &[Field("plaid-verification")],
            algorithm: Algorithm::Jwt,
            encoding: Encoding::Text,
            key: KeyText::Jwk,
            // It stands in the token.
            time: Some(beside("", Some(300))),
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "contentful",
        marks: &[Mark::Field("x-contentful-topic")],
        event: &[Field("x-contentful-topic")],
        id: &[Field("x-contentful-idempotency-key")],
        schemes: &[Scheme {
            at: &[Field("x-contentful-signature")],
            signed: &[
                Piece::Method,
                Piece::Text("\n"),
                Piece::EscapedTarget,
                Piece::Text("\n"),
                Piece::Fields("x-contentful-signed-headers"),
                Piece::Text("\n"),
                Piece::Body,
            ],
            time: Some(Time {
                at: TimeAt::Source(Field("x-contentful-timestamp")),
                unit: Unit::Milliseconds,
                tolerance: Some(Duration::from_secs(30)),
            }),
            ..HEX
        }],
        challenge: None,
    },
    // Last are those whose marks others have too.
    Provider {
        name: "svix",
        marks: &[Mark::Field("svix-signature")],
        event: &[Json("/type")],
        id: &[Field("svix-id")],
        schemes: &[
            Scheme {
                at: &[Field("svix-signature")],
                id: Some("svix-id"),
                time: Some(seconds("svix-timestamp", Some(300))),
                ..STANDARD
            },
            Scheme {
                at: &[Field("svix-signature")],
                id: Some("svix-id"),
                time: Some(seconds("svix-timestamp", Some(300))),
                ..STANDARD_ED25519
            },
        ],
        challenge: None,
    },
    Provider {
        name: "standard-webhooks",
        marks: &[Mark::Field("webhook-signature")],
        event: &[Json("/type")],
        id: &[Field("webhook-id")],
        schemes: &[STANDARD, STANDARD_ED25519],
        challenge: None,
    },
    Provider {
        name: "intercom",
        marks: &[Mark::Value("x-hub-signature", "sha1=")],
        event: &[Json("/topic")],
        id: &[Json("/id")],
        schemes: &[Scheme {
            at: &[Field("x-hub-signature")],
            algorithm: Algorithm::HmacSha1,
            prefix: "sha1=",
            ..HEX
        }],
        challenge: None,
    },
    Provider {
        name: "meta",
        marks: &[Mark::Field("x-hub-signature-256")],
        event: &[Json("/object")],
        id: &[
            Json("/entry/0/changes/0/value/messages/0/id"),
            Json("/entry/0/messaging/0/message/mid"),
        ],
        schemes: &[Scheme {
            at: &[Field("x-hub-signature-256")],
            prefix: "sha256=",
            ..HEX
        }],
        challenge: Some(Challenge::Meta),
    },
];

/// Other names of some of them, and providers that use what others do.
pub const ALIASES: &[(&str, &str)] = &[
    ("standardwebhooks", "standard-webhooks"),
    ("openai", "standard-webhooks"),
    ("brex", "standard-webhooks"),
    ("clerk", "svix"),
    ("resend", "svix"),
    ("loops", "svix"),
    ("facebook", "meta"),
    ("instagram", "meta"),
    ("messenger", "meta"),
    ("whatsapp", "meta"),
    ("twitter", "x"),
    ("msgraph", "microsoft-graph"),
    ("atlassian", "jira"),
];

/// HMAC-SHA-256 of the body, in hexadecimal.
const HEX: Scheme = Scheme {
    at: &[],
    // It stands in no signature.
    between: '\n',
    prefix: "",
    algorithm: Algorithm::HmacSha256,
    encoding: Encoding::Hex,
    key: KeyText::Raw,
    signed: &[Piece::Body],
    id: None,
    time: None,
    when: None,
    audience: None,
    certificate: None,
};

/// The same in base64.
const BASE64: Scheme = Scheme {
    encoding: Encoding::Base64,
    ..HEX
};

/// The secret itself.
const PLAIN: Scheme = Scheme {
    algorithm: Algorithm::Plain,
    encoding: Encoding::Text,
    ..HEX
};

/// WebSub's field, with SHA-256.
const HUB: Scheme = Scheme {
    at: &[Field("x-hub-signature")],
    prefix: "sha256=",
    ..HEX
};

/// Amazon SNS, version 1: its certificate is Amazon's for everybody's topics, so the topic must be ours. Messages
/// are tried again for weeks with the time at which they were published.
const SNS: Scheme = Scheme {
    at: &[Json("/Signature")],
    algorithm: Algorithm::RsaSha1,
    key: KeyText::Audience,
    signed: &[Piece::Lines(&[
        "Message",
        "MessageId",
        "Subject",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ])],
    time: Some(Time {
        at: TimeAt::Source(Json("/Timestamp")),
        unit: Unit::Date,
        tolerance: None,
    }),
    when: Some((Json("/SignatureVersion"), "1")),
    audience: Some(Json("/TopicArn")),
    certificate: Some(Certificate {
        at: Json("/SigningCertURL"),
        places: &[
            Place {
                host: "sns.*.amazonaws.com",
                path: "/SimpleNotificationService-",
            },
            Place {
                host: "sns.*.amazonaws.com.cn",
                path: "/SimpleNotificationService-",
            },
        ],
    }),
    ..BASE64
};

/// Where a subscription of SNS is confirmed.
pub(super) const SNS_CONFIRM: &[Place] = &[
    Place {
        host: "sns.*.amazonaws.com",
        path: "/?Action=ConfirmSubscription&",
    },
    Place {
        host: "sns.*.amazonaws.com.cn",
        path: "/?Action=ConfirmSubscription&",
    },
];

/// Where PayPal's certificates are, of the sandbox too.
const PAYPAL: &[Place] = &[
    Place {
        host: "*.paypal.com",
        path: "/v1/notifications/certs/",
    },
    Place {
        host: "*.sandbox.paypal.com",
        path: "/v1/notifications/certs/",
    },
];

/// Standard Webhooks, symmetric.
const STANDARD: Scheme = Scheme {
    at: &[Field("webhook-signature")],
    between: ' ',
    prefix: "v1,",
    key: KeyText::Whsec,
    signed: &[
        Piece::Id,
        Piece::Text("."),
        Piece::Time,
        Piece::Text("."),
        Piece::Body,
    ],
    id: Some("webhook-id"),
    time: Some(seconds("webhook-timestamp", Some(300))),
    ..BASE64
};

/// Standard Webhooks, asymmetric.
const STANDARD_ED25519: Scheme = Scheme {
    prefix: "v1a,",
    algorithm: Algorithm::Ed25519,
    key: KeyText::Whpk,
    ..STANDARD
};

const fn seconds(field: &'static str, tolerance: Option<u64>) -> Time {
    Time {
        at: TimeAt::Source(Field(field)),
        unit: Unit::Seconds,
        tolerance: of_seconds(tolerance),
    }
}

const fn beside(item: &'static str, tolerance: Option<u64>) -> Time {
    Time {
        at: TimeAt::Item(item),
        unit: Unit::Seconds,
        tolerance: of_seconds(tolerance),
    }
}

const fn of_seconds(tolerance: Option<u64>) -> Option<Duration> {
    match tolerance {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => None,
    }
}
