//! Why a stream was reset or stopped, and why a connection was closed.
//!
//! Zero is what QUIC libraries send when nobody chose a code, so it has no meaning here. Unknown
//! codes are legal and mean [`Reset::Internal`] or [`Close::Internal`]: a newer peer may know more.

use std::fmt;

macro_rules! codes {
    (
        $(#[$doc:meta])* $name:ident, unknown = $unknown:ident;
        $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $text:literal;)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All codes, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            pub const fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The code of a number; unknown numbers are internal errors of the peer.
            pub const fn from_number(number: u64) -> Self {
                match number { $($number => Self::$variant,)* _ => Self::$unknown }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }
    };
}

codes! {
    /// Why one direction of an exchange was given up (RESET_STREAM, STOP_SENDING).
    Reset, unknown = Internal;
    /// The other side of the exchange went away, or nobody wants the rest.
    Cancelled = 0x01, "cancelled";
    /// The peer broke the protocol on this stream.
    Protocol = 0x02, "protocol error";
    /// A head was larger than the protocol allows.
    HeadTooLarge = 0x03, "head too large";
    /// The origin could not be connected to.
    OriginRefused = 0x04, "origin refused the connection";
    /// The origin's connection ended too early.
    OriginReset = 0x05, "origin reset the connection";
    /// The origin did not speak valid HTTP.
    OriginInvalid = 0x06, "origin sent an invalid response";
    /// The origin sent no head in time.
    OriginTimeout = 0x07, "origin did not answer in time";
    /// The agent takes no more exchanges now.
    Overload = 0x08, "too many exchanges";
    /// The visitor's request ended too early.
    VisitorReset = 0x09, "visitor gave up";
    /// A fault of the peer's own.
    Internal = 0x0a, "internal error";
}

codes! {
    /// Why a connection was closed (CONNECTION_CLOSE of the application).
    Close, unknown = Internal;
    /// The agent was stopped by its user.
    Goodbye = 0x01, "goodbye";
    /// The relay is going away; dial again.
    Drain = 0x02, "relay is draining";
    /// The token or the signature was refused; dialling again does not help.
    Refused = 0x03, "refused";
    /// The peer broke the protocol.
    Protocol = 0x04, "protocol error";
    /// A newer session of the same identity took over.
    Replaced = 0x05, "replaced by a newer session of the same identity";
    /// The relay has no room; dial again later.
    Overload = 0x06, "relay is full";
    /// The peer was silent when it had to speak.
    Timeout = 0x07, "timed out";
    /// A fault of the peer's own.
    Internal = 0x08, "internal error";
}

impl Close {
    /// True when dialling again cannot end differently.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Refused | Self::Replaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_distinct_stable_and_never_zero() {
        let resets: Vec<_> = Reset::ALL.iter().map(|c| c.number()).collect();
        assert_eq!(resets, (1..=10).collect::<Vec<_>>());
        let closes: Vec<_> = Close::ALL.iter().map(|c| c.number()).collect();
        assert_eq!(closes, (1..=8).collect::<Vec<_>>());
        for code in Reset::ALL {
            assert_eq!(Reset::from_number(code.number().into()), *code);
        }
        assert_eq!(Reset::from_number(0), Reset::Internal);
        assert_eq!(Close::from_number(u64::MAX), Close::Internal);
    }
}
