//! What moves on a page. Each island improves something that works without it,
//! takes no properties but children (so that no serializer is shipped) and talks
//! to nobody.

mod await_payment;
mod submit_once;

pub use await_payment::AwaitPayment;
pub use submit_once::SubmitOnce;
