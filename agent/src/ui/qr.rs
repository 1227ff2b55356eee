//! A URL as a QR code for a terminal.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// `url` in half blocks, one line each; none when it is too long for a code.
///
/// Dark modules are spaces on light blocks: terminals are dark more often than not, and readers
/// take the other way round as well.
pub(super) fn code(url: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(url, EcLevel::L).ok()?;
    let drawn = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    Some(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_a_square_of_half_blocks() {
        let drawn = code("https://brave-otter.relay.example.com").unwrap();
        let lines: Vec<_> = drawn.lines().collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(drawn.chars().all(|c| " ▀▄█\n".contains(c)));
        assert_eq!(code(&"x".repeat(5000)), None);
    }
}
