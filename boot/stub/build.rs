//! Links the bare-metal binary with the script of its architecture.

fn main() {
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let (script, kind) = match arch.as_str() {
        // May lie anywhere: the entry code relocates what the linker lists. Constants with addresses
        // in them are relocated too, before anything is mapped read-only.
        "aarch64" => ("stub-aarch64.ld", &["--pie", "-znotext", "--no-dynamic-linker"][..]),
        _ => ("stub-x86_64.ld", &["--no-pie"][..]),
    };
    let script = format!("{}/../{script}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rerun-if-changed=src/arch");
    println!("cargo:rustc-link-arg=-T{script}");
    for option in kind {
        println!("cargo:rustc-link-arg={option}");
    }
}
