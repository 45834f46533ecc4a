//! Device trees, written as code.

/// A node: properties, then children.
#[derive(Clone, Default)]
pub struct Node {
    name: String,
    properties: Vec<(String, Vec<u8>)>,
    children: Vec<Node>,
}

impl Node {
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets a property to these bytes.
    pub fn bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a property to these 32-bit numbers.
    pub fn cells(self, name: &str, cells: &[u32]) -> Self {
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.bytes(name, &bytes)
    }

    /// Sets a property to these texts.
    pub fn texts(self, name: &str, texts: &[&str]) -> Self {
        let bytes: Vec<u8> =
            texts.iter().flat_map(|text| [text.as_bytes(), &[0]].concat()).collect();
        self.bytes(name, &bytes)
    }

    pub fn flag(self, name: &str) -> Self {
        self.bytes(name, &[])
    }

    pub fn child(mut self, child: Node) -> Self {
        self.children.push(child);
        self
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        self.properties.retain(|(known, _)| known != name);
        self.properties.push((name.into(), value.into()));
    }

    /// Takes a property away.
    pub fn without(mut self, name: &str) -> Self {
        self.properties.retain(|(known, _)| known != name);
        self
    }

    /// Changes the descendant at a path of names.
    pub fn change(mut self, path: &str, change: impl FnOnce(Node) -> Node) -> Self {
        let node = path.split('/').fold(&mut self, |node, name| {
            node.children.iter_mut().find(|child| child.name == name).expect(name)
        });
        *node = change(std::mem::take(node));
        self
    }

    /// Takes a child away.
    pub fn without_child(mut self, name: &str) -> Self {
        self.children.retain(|child| child.name != name);
        self
    }

    fn write(&self, structure: &mut Vec<u8>, strings: &mut Vec<u8>) {
        let word = |structure: &mut Vec<u8>, word: u32| structure.extend(word.to_be_bytes());
        let padded = |structure: &mut Vec<u8>, bytes: &[u8]| {
            structure.extend(bytes);
            structure.resize(structure.len().next_multiple_of(4), 0);
        };
        word(structure, 1);
        padded(structure, &[self.name.as_bytes(), &[0]].concat());
        for (name, value) in &self.properties {
            word(structure, 3);
            word(structure, value.len() as u32);
            word(structure, strings.len() as u32);
            strings.extend(name.as_bytes());
            strings.push(0);
            padded(structure, value);
        }
        for child in &self.children {
            child.write(structure, strings);
        }
        word(structure, 2);
    }

    /// The flattened tree with this node for its root (DT chapter 5).
    pub fn blob(&self) -> Vec<u8> {
        let (mut structure, mut strings) = (Vec::new(), Vec::new());
        self.write(&mut structure, &mut strings);
        structure.extend(9u32.to_be_bytes());
        let at = 40 + 16;
        let header = [
            0xd00d_feed,
            at + structure.len() + strings.len(),
            at,
            at + structure.len(),
            40,
            17,
            16,
            0,
            strings.len(),
            structure.len(),
        ];
        let mut blob: Vec<u8> =
            header.iter().flat_map(|field| (*field as u32).to_be_bytes()).collect();
        blob.extend([0; 16]);
        blob.extend(structure);
        blob.extend(strings);
        blob
    }
}

/// The `interrupt-map` of QEMU's `virt`: four slots of four pins, to SPIs 3 to 6 (INTIDs 35 to 38) of the controller with
/// this phandle, level high.
pub fn virt_interrupt_map(gic: u32) -> Vec<u32> {
    let entry =
        |slot: u32, pin: u32| [slot << 11, 0, 0, pin + 1, gic, 0, 0, 0, 3 + (slot + pin) % 4, 4];
    (0..16).flat_map(|at| entry(at / 4, at % 4)).collect()
}

/// What matters here of the tree of QEMU 7.2's `-M virt,gic-version=3 -cpu max -smp 2`.
pub fn virt() -> Node {
    let cpu = |name, number, phandle| {
        Node::new(name)
            .cells("phandle", &[phandle])
            .cells("reg", &[number])
            .texts("enable-method", &["psci"])
            .texts("compatible", &["arm,arm-v8"])
            .texts("device_type", &["cpu"])
    };
    let core = |name, phandle| Node::new(name).cells("cpu", &[phandle]);
    let psci = Node::new("psci")
        .texts("method", &["hvc"])
        .texts("compatible", &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]);
    let pcie = Node::new("pcie@10000000")
        .texts("compatible", &["pci-host-ecam-generic"])
        .texts("device_type", &["pci"])
        .cells("#address-cells", &[3])
        .cells("#size-cells", &[2])
        .cells("#interrupt-cells", &[1])
        .cells("bus-range", &[0, 255])
        .cells("linux,pci-domain", &[0])
        .flag("dma-coherent")
        .cells("interrupt-map-mask", &[0x1800, 0, 0, 7])
        .cells("interrupt-map", &virt_interrupt_map(0x8003))
        .cells("msi-map", &[0, 0x8004, 0, 0x1_0000])
        .cells("reg", &[0x40, 0x1000_0000, 0, 0x1000_0000])
        .cells(
            "ranges",
            &[
                [0x0100_0000, 0, 0, 0, 0x3eff_0000, 0, 0x1_0000],
                [0x0200_0000, 0, 0x1000_0000, 0, 0x1000_0000, 0, 0x2eff_0000],
                [0x0300_0000, 0x80, 0, 0x80, 0, 0x80, 0],
            ]
            .concat(),
        );
    let uart = Node::new("pl011@9000000")
        .texts("compatible", &["arm,pl011", "arm,primecell"])
        .cells("interrupts", &[0, 1, 4])
        .cells("reg", &[0, 0x0900_0000, 0, 0x1000]);
    let its = Node::new("its@8080000")
        .cells("phandle", &[0x8004])
        .cells("reg", &[0, 0x0808_0000, 0, 0x2_0000])
        .cells("#msi-cells", &[1])
        .flag("msi-controller")
        .texts("compatible", &["arm,gic-v3-its"]);
    let gic = Node::new("intc@8000000")
        .cells("phandle", &[0x8003])
        .cells("reg", &[0, 0x0800_0000, 0, 0x1_0000, 0, 0x080a_0000, 0, 0xf6_0000])
        .cells("#redistributor-regions", &[1])
        .texts("compatible", &["arm,gic-v3"])
        .flag("ranges")
        .cells("#size-cells", &[2])
        .cells("#address-cells", &[2])
        .flag("interrupt-controller")
        .cells("#interrupt-cells", &[3])
        .child(its);
    let map = Node::new("cpu-map")
        .child(Node::new("socket0").child(
            Node::new("cluster0").child(core("core0", 0x8002)).child(core("core1", 0x8001)),
        ));
    let cpus = Node::new("cpus")
        .cells("#size-cells", &[0])
        .cells("#address-cells", &[1])
        .child(map)
        .child(cpu("cpu@0", 0, 0x8002))
        .child(cpu("cpu@1", 1, 0x8001));
    let timer = Node::new("timer")
        .cells("interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4])
        .flag("always-on")
        .texts("compatible", &["arm,armv8-timer", "arm,armv7-timer"]);
    Node::new("")
        .cells("interrupt-parent", &[0x8003])
        .texts("model", &["linux,dummy-virt"])
        .cells("#size-cells", &[2])
        .cells("#address-cells", &[2])
        .texts("compatible", &["linux,dummy-virt"])
        .child(psci)
        .child(Node::new("memory@40000000").cells("reg", &[0, 0x4000_0000, 0, 0x800_0000]))
        .child(pcie)
        .child(uart)
        .child(gic)
        .child(cpus)
        .child(timer)
        .child(Node::new("chosen").texts("stdout-path", &["/pl011@9000000"]))
}
