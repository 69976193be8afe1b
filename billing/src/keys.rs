//! The keys of features and meters.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $key:literal, $label:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $key)] $variant,)*
        }

        impl $name {
            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The key used in `plans.toml`, in the database and in the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $key),* }
            }

            /// The name that people read.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),* }
            }

            /// The one with this key.
            pub fn parse(key: &str) -> Option<Self> {
                match key { $($key => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

closed_set! {
    /// What a plan opens. A new feature is a new line here; a typo does not compile.
    Feature {
        /// Usage over time, by key and by day.
        AdvancedAnalytics = "advancedAnalytics", "Advanced analytics";
        /// Serving under the customer's own domain.
        CustomDomain = "customDomain", "Custom domain";
        /// Answers first.
        PrioritySupport = "prioritySupport", "Priority support";
    }
}

closed_set! {
    /// What is counted against a plan's limits.
    Meter {
        /// Calls of the public API.
        ApiCalls = "apiCallsPerMonth", "API calls";
        /// Texts generated.
        AiGenerations = "aiGenerationsPerMonth", "AI generations";
    }
}
