//! Device trees that say something else than QEMU's: taken from QEMU, changed, and given back.

use crate::command;
use crate::machine::Machine;
use anyhow::{Context, Result, bail, ensure};
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeProperty};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// QEMU only makes the machine and writes its tree.
const LIMIT: Duration = Duration::from_secs(60);

/// Properties to set, by the path of their node and their name.
pub type Edits = BTreeMap<String, BTreeMap<String, Value>>;

/// What a property becomes.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Value {
    /// There and empty, or not there.
    Flag(bool),
    /// Numbers of 32 bits.
    Cells(Vec<u32>),
    /// A text.
    Text(String),
}

/// Changes a flattened tree. A node that is not there is an error: the scenario would show
/// nothing.
pub fn edit(blob: &[u8], edits: &Edits) -> Result<Vec<u8>> {
    let fdt = Fdt::new(blob).map_err(|error| anyhow::anyhow!("no device tree: {error}"))?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    for (path, properties) in edits {
        let Some(node) = tree.find_node_mut(path) else {
            bail!("the device tree has no node {path}");
        };
        for (name, value) in properties {
            node.remove_property(name);
            let property = match value {
                Value::Flag(false) => continue,
                Value::Flag(true) => DeviceTreeProperty::new(name, Vec::<u8>::new()),
                Value::Cells(cells) => DeviceTreeProperty::new(name, cells.as_slice()),
                Value::Text(text) => DeviceTreeProperty::new(name, text.as_str()),
            };
            node.add_property(property.with_context(|| format!("{path}: {name}"))?);
        }
    }
    Ok(tree.to_dtb())
}

/// Has QEMU write the tree of `machine`, and gives it back changed.
pub fn replace(qemu: &Path, machine: &mut Machine, edits: &Edits, dir: &Path) -> Result<()> {
    let (own, changed) = (dir.join("qemu.dtb"), dir.join("changed.dtb"));
    let text = own.to_str().filter(|path| !path.contains(','));
    let text = text.context("QEMU takes no comma in the path of a device tree")?;
    let mut command = Command::new(qemu);
    command.args(machine.arguments()).args(["-machine", &format!("dumpdtb={text}")]);
    let captured = command::capture(&mut command, LIMIT)?;
    ensure!(captured.success(), "QEMU does not write its device tree: {}", captured.reason());
    let blob = fs::read(&own).with_context(|| format!("cannot read {text}"))?;
    fs::write(&changed, edit(&blob, edits)?)
        .with_context(|| format!("cannot write {}", changed.display()))?;
    machine.tree = Some(changed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::model::DeviceTreeNode;
    use dtoolkit::{Node, Property};

    fn small() -> Vec<u8> {
        let mut tree = DeviceTree::new();
        let mut gic = DeviceTreeNode::new("intc@8000000").expect("a name");
        gic.add_property(DeviceTreeProperty::new("old", 7_u32).expect("a name"));
        tree.root.add_child(gic);
        tree.to_dtb()
    }

    fn edits(text: &str) -> Edits {
        toml::from_str(text).expect("edits")
    }

    #[test]
    fn properties_are_set_and_removed() {
        let wanted = edits(
            "['/intc@8000000']\nmsi-controller = true\nold = false\nmbi-ranges = [96, 32]\n\
             status = 'okay'",
        );
        let blob = edit(&small(), &wanted).expect("changed");
        let tree = Fdt::new(&blob).expect("a tree");
        let node = tree.find_node("/intc@8000000").expect("it is there");
        let value = |name: &str| node.property(name).map(|property| property.value().to_vec());
        assert_eq!(value("msi-controller"), Some(vec![]));
        assert_eq!(value("mbi-ranges"), Some(vec![0, 0, 0, 96, 0, 0, 0, 32]));
        assert_eq!(value("status"), Some(b"okay\0".to_vec()));
        assert_eq!(value("old"), None);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let error = edit(&small(), &edits("['/gic']\nx = true")).expect_err("no such node");
        assert_eq!(error.to_string(), "the device tree has no node /gic");
        assert!(edit(b"nothing", &Edits::new()).is_err());
    }
}
