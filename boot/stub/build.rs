//! Links the bare-metal binary with its own script.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../stub.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rerun-if-changed=src/entry.s");
    println!("cargo:rustc-link-arg=-T{script}");
    println!("cargo:rustc-link-arg=--no-pie");
}
