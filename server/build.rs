//! The migrations are compiled in; a new file must make this crate build again.

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
}
