//! `cargo xtask graph`: the authority that a manifest grants, as a Graphviz drawing.
//!
//! Boxes are programs, ellipses endpoints, octagons what `init` owns of the machine, folders
//! devices. An arrow from a program is a capability that it holds.

use crate::cli::GraphOptions;
use crate::command;
use crate::image::manifest;
use crate::setup::{DOT, Setup};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::Command;
use std::time::Duration;
use tocsin_manifest::{Driver, Grant, Manifest, Program};

/// Prints the drawing's text, or writes the drawing.
pub fn run(workspace: &Workspace, setup: &Setup, options: &GraphOptions) -> Result<bool> {
    let text = dot(&manifest::read(workspace, &options.manifest)?);
    let Some(svg) = &options.svg else {
        print!("{text}");
        return Ok(true);
    };
    let dot = setup.tool(&DOT)?;
    let source = workspace.target_dir("xtask")?.join("graph.dot");
    fs::write(&source, text).with_context(|| format!("cannot write {}", source.display()))?;
    let mut draw = Command::new(dot);
    draw.arg("-Tsvg").arg("-o").arg(svg).arg(&source);
    let drawn = command::capture(&mut draw, Duration::from_secs(60))?;
    if !drawn.success() {
        bail!("dot failed: {}", drawn.reason());
    }
    println!("{}", svg.display());
    Ok(true)
}

/// `manifest` as Graphviz text.
fn dot(manifest: &Manifest) -> String {
    let mut text =
        String::from("digraph authority {\n    rankdir = LR;\n    node [shape = box];\n");
    let main = &manifest.system.main;
    for program in manifest.programs() {
        let Program { name, budget_kib, priority, .. } = program;
        let pen = if name == main { 2 } else { 1 };
        let label = format!("{name}\\n{budget_kib} KiB, priority {priority}");
        text += &format!("    {} [label = \"{label}\", penwidth = {pen}];\n", id("program", name));
        for grant in &program.grants {
            text += &edge(name, grant);
        }
    }
    for Driver { program, device, dma_kib, quota, interrupt } in &manifest.drivers {
        let (vendor, number, nth) = (device.vendor, device.device, device.nth);
        let place = id("device", &format!("{vendor:04x}:{number:04x} #{nth}"));
        let mut label = format!("PCI {vendor:04x}:{number:04x}, number {nth}");
        let quirk = manifest.quirks.iter().find(|quirk| {
            let kind = quirk.device;
            (kind.vendor, kind.device) == (vendor, number)
        });
        if let Some(quirk) = quirk {
            label += &format!("\\nDMA arrives as DeviceID {}", quirk.dma_device_id);
            if let Some(id) = quirk.amdvi_dma_id {
                label += &format!(" (ITS) or from {id:#06x} (AMD-Vi)");
            }
        }
        text += &format!("    {place} [label = \"{label}\", shape = folder];\n");
        let below = interrupt.iter().map(|name| format!(" of {name}")).collect::<String>();
        let holds = format!("drives; {quota} messages{below}, {dma_kib} KiB DMA");
        text +=
            &format!("    {} -> {place} [label = \"{holds}\"];\n", id("program", &program.name));
    }
    text + "}\n"
}

/// The capability `grant` of the program `holder`.
fn edge(holder: &str, grant: &Grant) -> String {
    let holder = id("program", holder);
    let endpoint = |name: &str| id("endpoint", name);
    let node =
        |name: &str| format!("    {} [label = \"{name}\", shape = ellipse];\n", endpoint(name));
    match grant {
        // Calls flow from the endpoint to the program that receives them.
        Grant::Receive(name) => {
            format!("{}    {} -> {holder} [style = bold];\n", node(name), endpoint(name))
        }
        Grant::Endpoint(name) => format!("{}    {holder} -> {};\n", node(name), endpoint(name)),
        Grant::Device(name) => {
            format!(
                "{}    {holder} -> {} [label = \"as its device\"];\n",
                node(name),
                endpoint(name)
            )
        }
        Grant::Mint(name) => {
            format!(
                "{}    {holder} -> {} [label = \"as any device\"];\n",
                node(name),
                endpoint(name)
            )
        }
        Grant::Inspect(name) => {
            format!("{}    {holder} -> {} [label = \"inspects\"];\n", node(name), endpoint(name))
        }
        Grant::Parent(name) => {
            format!("{}    {holder} -> {} [label = \"is below\"];\n", node(name), endpoint(name))
        }
        other => {
            let thing = id("machine", &other.to_string());
            format!(
                "    {thing} [label = \"{other}\", shape = octagon];\n    {holder} -> {thing};\n"
            )
        }
    }
}

/// A node's identifier: what kind of thing it is, and its name.
fn id(kind: &str, name: &str) -> String {
    format!("\"{kind} {name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tocsin_manifest::{DeviceKind, Quirk};

    const SMALL: &str = "
        [system]
        main = 'demo'
        [interrupt]
        allow_unisolated = false
        quota = 4
        [[server]]
        name = 'pci'
        budget_kib = 16
        priority = 4
        grants = ['receive:pci', 'ecam', 'gic', 'uart']
        [[driver]]
        name = 'demo'
        match = { vendor = 0x1234, device = 0x11e8 }
        budget_kib = 16
        priority = 3
        quota = 4
        grants = ['device:pci']
    ";

    #[test]
    fn every_grant_is_an_edge() {
        let quirk = Quirk {
            device: DeviceKind { vendor: 0x1234, device: 0x11e8 },
            dma_device_id: 7,
            amdvi_dma_id: None,
            reason: "a test".into(),
        };
        let beside = tocsin_manifest::Quirks { quirks: vec![quirk], pins: Vec::new() };
        let manifest = tocsin_manifest::from_toml(SMALL, beside).expect("a good manifest");
        let text = dot(&manifest);
        for edge in [
            "\"endpoint pci\" -> \"program pci\"",
            "\"program pci\" -> \"machine ecam\"",
            "\"program pci\" -> \"machine gic\"",
            "\"program pci\" -> \"machine uart\"",
            "\"program demo\" -> \"endpoint pci\" [label = \"as its device\"]",
            "\"program demo\" -> \"device 1234:11e8 #0\"",
        ] {
            assert!(text.contains(edge), "{edge} is not in\n{text}");
        }
        assert_eq!(text.matches(" -> ").count(), 6);
        assert!(text.contains("number 0\\nDMA arrives as DeviceID 7"), "{text}");
    }
}
