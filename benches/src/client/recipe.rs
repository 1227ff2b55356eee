//! What all requests of a test have in common.

use http::header::{CONTENT_LENGTH, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};

use crate::plan::{Plan, Work};
use crate::sizes::{Bodies, Body};

/// What all requests have in common.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(super) method: Method,
    /// For HTTP/1.1: the head without what is about its body, and without the empty line.
    pub(super) head: Vec<u8>,
    /// Whether requests have bodies, empty ones too.
    pub(super) has_body: bool,
    /// Whether each request has a connection of its own.
    pub(super) close: bool,
    uri: Uri,
    fields: HeaderMap,
}

impl Recipe {
    pub(crate) fn new(plan: &Plan) -> Self {
        let target = &plan.target;
        let scheme = if target.https {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(target.authority.clone())
            .path_and_query(target.path.as_str())
            .build()
            // The target was made of these parts of a URL.
            .unwrap_or_default();
        let mut fields = plan.fields.clone();
        fields
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(AGENT));
        if plan.work == Work::Events {
            let accept = HeaderValue::from_static("text/event-stream");
            fields.entry(http::header::ACCEPT).or_insert(accept);
        }
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\n",
            plan.method, target.path, target.authority
        )
        .into_bytes();
        for (name, value) in &fields {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        if plan.new_connections && plan.work != Work::Echo {
            head.extend_from_slice(b"connection: close\r\n");
        }
        Self {
            method: plan.method.clone(),
            head,
            has_body: !matches!(plan.bodies, Bodies::None),
            close: plan.new_connections,
            uri,
            fields,
        }
    }

    /// The head of a request over HTTP/2 or HTTP/3.
    pub(super) fn request(&self, version: Version, body: &Body) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = version;
        *request.headers_mut() = self.fields.clone();
        if self.has_body {
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, body.len().into());
        }
        request
    }
}

const AGENT: &str = concat!("loadtest/", env!("CARGO_PKG_VERSION"));
