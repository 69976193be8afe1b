//! Inline icons, so that none has to be loaded. They accompany text and are hidden from screen
//! readers.

use leptos::prelude::*;

/// The shape of an icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyph {
    /// A tick.
    Check,
    /// An exclamation mark in a circle.
    Alert,
    /// An i in a circle.
    Info,
    /// A closed lock.
    Lock,
    /// An arrow to the right.
    Arrow,
    /// Bars.
    Chart,
    /// A key.
    Key,
    /// A globe.
    Globe,
    /// A speech bubble.
    Speech,
    /// A receipt.
    Receipt,
    /// Head and shoulders.
    Person,
    /// The sun.
    Sun,
    /// The moon.
    Moon,
    /// Half light, half dark.
    Half,
}

impl Glyph {
    /// Returns the path, in a box of 24 with a stroke of 1.75.
    const fn path(self) -> &'static str {
        match self {
            Self::Check => "M5 12.5l4.5 4.5L19 7.5",
            Self::Alert => "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 7.5v5.5M12 16.4v.1",
            Self::Info => "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 11v5.5M12 7.6v.1",
            Self::Lock => {
                "M6.5 11h11a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1M8.5 11V8a3.5 3.5 0 0 1 7 0v3"
            }
            Self::Arrow => "M5 12h14M13 6l6 6-6 6",
            Self::Chart => "M4 20h16M7 16v-4M12 16V6M17 16V9",
            Self::Key => "M8 11.5a4 4 0 1 0 0 8a4 4 0 1 0 0-8M11 13l8.5-8.5M16 8l3 3M13.5 10.5l2 2",
            Self::Globe => {
                "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M3 12h18M12 3c3 2.6 4 5.6 4 9s-1 6.4-4 9c-3-2.6-4-5.6-4-9s1-6.4 4-9"
            }
            Self::Speech => "M5 5h14a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1h-7l-4.5 3.5V17H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1",
            Self::Receipt => "M6 3.5h12v17l-3-2-3 2-3-2-3 2v-17M9.5 8.5h5M9.5 12.5h5",
            Self::Person => "M12 4a4 4 0 1 0 0 8a4 4 0 1 0 0-8M4.5 20.5a7.5 6.5 0 0 1 15 0",
            Self::Sun => {
                "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4"
            }
            Self::Moon => "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10",
            Self::Half => "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 3v18M15 4v16M18 6v12",
        }
    }
}

/// An icon next to text.
#[component]
pub fn Icon(glyph: Glyph) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false">
            <path d=glyph.path()></path>
        </svg>
    }
}
