//! What moves on a page. Each island improves something that works without it,
//! takes no properties but children (so that no serializer is shipped); only
//! [`LiveMeters`] asks anybody anything, and takes HTML for an answer.

mod await_payment;
mod live_meters;
mod submit_once;

pub use await_payment::AwaitPayment;
pub use live_meters::LiveMeters;
pub use submit_once::SubmitOnce;
