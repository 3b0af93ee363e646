//! Makes a new migration count as a change of this crate.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
