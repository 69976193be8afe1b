//! The pages a customer sees: plain HTML, no script at all.

pub(crate) mod authenticate;
pub(crate) mod checkout;
mod html;
pub(crate) mod invoice;
pub(crate) mod portal;

pub(crate) use html::{App, document, esc, link, notice, page, see_other, style};
