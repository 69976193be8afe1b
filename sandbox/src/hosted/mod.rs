//! The hosted pages that customers see: plain HTML without JavaScript.

pub(crate) mod authenticate;
pub(crate) mod checkout;
mod html;
pub(crate) mod invoice;
pub(crate) mod portal;

pub(crate) use html::{App, document, esc, link, notice, page, see_other, style};
