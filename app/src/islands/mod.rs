//! Interactive parts of pages. Each improves something that works without it, and takes no
//! properties except children, so that no serializer is shipped. Only [`LiveMeters`] sends requests;
//! it gets HTML.

mod await_payment;
mod live_meters;
mod submit_once;

pub use await_payment::AwaitPayment;
pub use live_meters::LiveMeters;
pub use submit_once::SubmitOnce;
