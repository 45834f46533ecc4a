//! Links the kernel where boot/kernel.ld says.
fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../boot/kernel.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rustc-link-arg-bins=-T{script}");
    println!("cargo:rustc-link-arg-bins=--no-pie");
    // What the script aligns segments to, and what loaders map; on Arm the linker would assume
    // 64 KiB.
    println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
}
