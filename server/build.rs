//! The migrations are compiled in, so a new file must cause this crate to be rebuilt.

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
}
