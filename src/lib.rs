//! The browser entry
