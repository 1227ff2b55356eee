//! The page that shows what the API says.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

pub(super) fn response() -> Response<Full<Bytes>> {
    super::typed(StatusCode::OK, "text/html; charset=utf-8", PAGE.to_owned())
}

const PAGE: &str = include_str!("page.html");
