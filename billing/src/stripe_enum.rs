//! Enums for Stripe's string constants, which Stripe may extend at any time.

/// Declares an enum of Stripe's string constants that keeps an unknown value as received.
///
/// The enum is serialized as Stripe's string, so a value that this version does not know
/// survives a round trip through the database.
macro_rules! stripe_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A value that this version does not know.
            Unknown(String),
        }

        impl $name {
            /// Returns Stripe's string for this value.
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant => $value,)* Self::Unknown(value) => value }
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                match value.as_str() { $($value => Self::$variant,)* _ => Self::Unknown(value) }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }
    };
}

pub(crate) use stripe_enum;
