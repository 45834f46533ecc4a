//! `limine.conf`, from the template in `boot/`.

use super::modules::Module;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

const TEMPLATE: &str = "boot/limine.conf";
const COMMAND_LINE: &str = "${CMDLINE}";
const MODULES: &str = "${MODULES}";

/// The configuration for these modules and this kernel command line.
pub fn limine_conf(
    workspace: &Workspace,
    command_line: &str,
    modules: &[Module],
) -> Result<String> {
    let path = workspace.source(Path::new(TEMPLATE));
    let template =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    fill(&template, command_line, modules).with_context(|| format!("{TEMPLATE} cannot be used"))
}

fn fill(template: &str, command_line: &str, modules: &[Module]) -> Result<String> {
    // Comments may name the placeholders.
    let lines = template.lines().filter(|line| !line.trim_start().starts_with('#'));
    let body: String = lines.flat_map(|line| [line, "\n"]).collect();
    for placeholder in [COMMAND_LINE, MODULES] {
        if body.matches(placeholder).count() != 1 {
            bail!("{placeholder} must stand in it once");
        }
    }
    let entries: Vec<String> = modules.iter().map(entry).collect();
    Ok(body.replace(MODULES, &entries.join("\n    ")).replace(COMMAND_LINE, command_line))
}

fn entry(module: &Module) -> String {
    format!(
        "module_path: boot():/boot/{}\n    module_cmdline: {}",
        module.name,
        module.command_line()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_and_command_line_are_filled_in() {
        let modules = [Module::new("init", b"123456789".to_vec()), Module::new("pci", vec![])];
        let conf =
            fill("# ${MODULES}\n/T\n    cmdline: ${CMDLINE}\n    ${MODULES}\n", "stay", &modules);
        assert_eq!(
            conf.expect("both placeholders"),
            "/T\n    cmdline: stay\n    module_path: boot():/boot/init\n    \
             module_cmdline: init crc32=cbf43926\n    module_path: boot():/boot/pci\n    \
             module_cmdline: pci crc32=00000000\n"
        );
    }

    #[test]
    fn template_without_a_placeholder_is_refused() {
        assert!(fill("cmdline: ${CMDLINE}", "", &[]).is_err());
        assert!(fill("${MODULES} ${MODULES} ${CMDLINE}", "", &[]).is_err());
    }
}
