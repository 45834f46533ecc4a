//! Snapshots out of a serial port's lines. What the guest writes is in `inspect_core::line`; what
//! is not exactly that is refused, and so is a snapshot that is not whole.

mod wire;

use anyhow::{Context, Result, anyhow, bail, ensure};
use inspect_core::line::{FORMAT, PREFIX};
use inspect_core::{Tree, names};
use serde::Deserialize;
use tocsin_proto::interrupt::{
    Arrives, Binding, ClientRow, Counters, DeviceKind, Event, MessageId, MessageRow, RemapperKind,
    Row, ServerRow, SpaceRow,
};
use tocsin_proto::{ProgramName, StoreKind};
use wire::Wire;

/// What one interrupt server had given out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Name of its endpoint.
    pub server: String,
    /// Nothing changed while it was read.
    pub steady: bool,
    pub tree: Tree,
}

/// A line, without its prefix. What is absent is left out, and nothing else may be there.
#[derive(Deserialize)]
#[serde(tag = "row", rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    Begin {
        format: u32,
        server: String,
    },
    End {
        rows: usize,
        steady: bool,
    },
    Error {
        text: String,
    },
    Server {
        remapper: String,
        isolated: bool,
        allow_unisolated: bool,
        cpus: u8,
        entries_total: u32,
        entries_used: u32,
        messages_total: u32,
        messages_used: u32,
        quarantined: u32,
        undo_failures: u32,
        faults: u64,
        flushes_late: u64,
        changes: u64,
        wires: u32,
    },
    Space {
        cpu: Option<u8>,
        total: u32,
        free: u32,
        quarantined: u32,
    },
    Client {
        client: u32,
        owner: String,
        vendor: Option<u16>,
        device: Option<u16>,
        quota: u32,
        held: u32,
        faults: u64,
        dma_function: Option<u16>,
        #[serde(default)]
        past_remapper: bool,
        device_id: Option<u32>,
        dma_device_id: Option<u32>,
        source_function: Option<u16>,
        source_device: Option<u16>,
        source_first_bus: Option<u8>,
        source_last_bus: Option<u8>,
    },
    Message(Box<Message>),
    Wire(Box<Wire>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    id: String,
    owner: u32,
    store: String,
    slot: Option<u32>,
    state: String,
    #[serde(default)]
    storm: bool,
    #[serde(default)]
    moving: bool,
    address: String,
    data: u32,
    entry: Option<u32>,
    device_id: Option<u32>,
    cpu: Option<u8>,
    vector: Option<u16>,
    cpus: String,
    waiting: u16,
    faults: u32,
    delivered: Option<u64>,
    coalesced: Option<u64>,
    blocked: Option<u64>,
    last_cpu: Option<u8>,
    port: Option<u32>,
    process: Option<u32>,
    key: Option<String>,
}

/// All snapshots among these lines, in their order.
///
/// # Errors
/// The first line that is none, that comes out of turn, or that says why there is no snapshot.
pub fn snapshots<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Vec<Snapshot>> {
    let mut snapshots = Vec::new();
    let mut open: Option<(String, Vec<Row>)> = None;
    for text in lines.into_iter().filter_map(|line| line.strip_prefix(PREFIX)) {
        let line = serde_json::from_str(text).with_context(|| format!("bad row `{text}`"))?;
        match (line, open.take()) {
            (Line::Error { text }, _) => bail!("the guest has no snapshot: {text}"),
            (Line::Begin { format, server }, None) => {
                ensure!(format == FORMAT, "rows have format {format}, this tool reads {FORMAT}");
                open = Some((server, Vec::new()));
            }
            (Line::Begin { server, .. }, Some((before, _))) => {
                bail!("the snapshot of {before} has no end, and that of {server} begins")
            }
            (Line::End { rows: said, steady }, Some((server, rows))) => {
                let count = rows.len();
                ensure!(said == count, "{said} rows of {server} were sent, and {count} came");
                let tree = Tree::build(&rows)
                    .map_err(|problem| anyhow!("the rows of {server} are no tree: {problem}"))?;
                snapshots.push(Snapshot { server, steady, tree });
            }
            (line, Some((server, mut rows))) => {
                rows.push(row(line).with_context(|| format!("bad row `{text}`"))?);
                open = Some((server, rows));
            }
            (_, None) => bail!("a row outside of a snapshot: {text}"),
        }
    }
    match open {
        Some((server, rows)) => {
            bail!("the snapshot of {server} is not whole: it ends after {} rows", rows.len())
        }
        None => Ok(snapshots),
    }
}

fn row(line: Line) -> Result<Row> {
    Ok(match line {
        Line::Begin { .. } | Line::End { .. } | Line::Error { .. } => bail!("no row"),
        Line::Server {
            remapper,
            isolated,
            allow_unisolated,
            cpus,
            entries_total,
            entries_used,
            messages_total,
            messages_used,
            quarantined,
            undo_failures,
            faults,
            flushes_late,
            changes,
            wires,
        } => Row::Server(ServerRow {
            remapper: find(RemapperKind::ALL, RemapperKind::name, &remapper)?,
            isolated,
            allow_unisolated,
            cpus,
            entries_total,
            entries_used,
            messages_total,
            messages_used,
            quarantined,
            undo_failures,
            faults,
            flushes_late,
            changes,
            wires,
        }),
        Line::Space { cpu, total, free, quarantined } => {
            ensure!(
                u64::from(free) + u64::from(quarantined) <= total.into(),
                "more than all are free"
            );
            Row::Space(SpaceRow { cpu, total, free, quarantined })
        }
        Line::Client {
            client,
            owner,
            vendor,
            device,
            quota,
            held,
            faults,
            dma_function,
            past_remapper,
            device_id,
            dma_device_id,
            source_function,
            source_device,
            source_first_bus,
            source_last_bus,
        } => Row::Client(ClientRow {
            client,
            owner: ProgramName::new(&owner).context("a name that is too long")?,
            kind: pair(vendor, device)?.map(|(vendor, device)| DeviceKind { vendor, device }),
            quota,
            held,
            faults,
            arrives: match (
                source_function,
                source_device,
                pair(source_first_bus, source_last_bus)?,
            ) {
                (None, None, None) => Arrives::Own,
                (Some(id), None, None) => Arrives::Function(id),
                (None, Some(id), None) => Arrives::Device(id),
                (None, None, Some((first, last))) => Arrives::Buses { first, last },
                _ => bail!("two kinds of source"),
            },
            dma_arrives: dma_function,
            past_remapper,
            device: device_id,
            dma_device: dma_device_id,
        }),
        Line::Message(message) => Row::Message(message.row()?),
        Line::Wire(wire) => Row::Wire(wire.row()?),
    })
}

impl Message {
    fn row(self) -> Result<MessageRow> {
        let counts = (self.delivered, self.coalesced, self.blocked, self.last_cpu);
        Ok(MessageRow {
            id: MessageId(hex(&self.id)?),
            owner: self.owner,
            kind: find(StoreKind::ALL, StoreKind::name, &self.store)?,
            slot: self.slot,
            state: find(names::STATES, names::state, &self.state)?,
            storm: self.storm,
            moving: self.moving,
            address: hex(&self.address)?,
            data: self.data,
            entry: self.entry,
            device: self.device_id,
            event: pair(self.cpu, self.vector)?.map(|(cpu, vector)| Event { cpu, vector }),
            cpus: hex(&self.cpus)?,
            waiting: self.waiting,
            faults: self.faults,
            counters: counters(counts)?,
            binding: binding((self.port, self.process, self.key))?,
        })
    }
}

type Counts = (Option<u64>, Option<u64>, Option<u64>, Option<u8>);

/// All of them or none.
fn counters(counts: Counts) -> Result<Option<Counters>> {
    Ok(match counts {
        (None, None, None, None) => None,
        (Some(delivered), Some(coalesced), Some(blocked), Some(last_cpu)) => {
            Some(Counters { delivered, coalesced, blocked, last_cpu })
        }
        _ => bail!("some counters are missing"),
    })
}

fn binding(parts: (Option<u32>, Option<u32>, Option<String>)) -> Result<Option<Binding>> {
    Ok(match parts {
        (None, None, None) => None,
        (Some(port), Some(process), Some(key)) => Some(Binding { port, process, key: hex(&key)? }),
        _ => bail!("half a binding"),
    })
}

/// Both or neither.
fn pair<A, B>(first: Option<A>, second: Option<B>) -> Result<Option<(A, B)>> {
    match (first, second) {
        (None, None) => Ok(None),
        (Some(first), Some(second)) => Ok(Some((first, second))),
        _ => bail!("one of two that belong together is missing"),
    }
}

fn hex(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+'));
    let value = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    value.with_context(|| format!("`{text}` is no number in hexadecimal"))
}

/// The one of `all` with this name.
fn find<T: Copy, const N: usize>(
    all: [T; N],
    name: impl Fn(T) -> &'static str,
    wanted: &str,
) -> Result<T> {
    let found = all.into_iter().find(|each| name(*each) == wanted);
    found.with_context(|| format!("nothing is called `{wanted}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use inspect_core::{line, samples};
    use proptest::prelude::*;

    fn lines(rows: &[Row]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |write: &dyn Fn(&mut String) -> std::fmt::Result| {
            let mut line = String::new();
            write(&mut line).expect("a string takes everything");
            lines.push(line);
        };
        add(&|f| line::begin("interrupt", f));
        rows.iter().for_each(|row| add(&|f| line::row(row, f)));
        add(&|f| line::end(rows.len(), true, f));
        lines
    }

    fn read(lines: &[String]) -> Result<Vec<Snapshot>> {
        snapshots(lines.iter().map(String::as_str))
    }

    #[test]
    fn what_the_guest_writes_is_read_back() {
        for rows in [samples::small(), samples::wired(), samples::large(2048)] {
            let mut serial = lines(&rows);
            serial.insert(3, "pci: a line of somebody else's".into());
            let read = read(&serial).expect("whole");
            let tree = Tree::build(&rows).expect("whole");
            let whole = Snapshot { server: "interrupt".into(), steady: true, tree };
            assert_eq!(read, [whole]);
        }
        let both = [lines(&samples::small()), lines(&samples::large(4))].concat();
        assert_eq!(read(&both).expect("two").len(), 2);
        assert_eq!(read(&[]).expect("none"), []);
    }

    #[test]
    fn every_line_counts() {
        let whole = lines(&samples::wired());
        for place in 0..whole.len() {
            let mut gap = whole.clone();
            gap.remove(place);
            assert!(read(&gap).is_err(), "without line {place}");
            let mut cut = whole.clone();
            cut[place].pop();
            assert!(read(&cut).is_err(), "line {place} is cut");
        }
        // Lost by the serial port, and counted by nobody: vectors of a CPU.
        assert!(whole[2].contains("space"));
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let whole = lines(&samples::small());
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("\"VT-d\"", "\"vtd\""),
            ("\"state\":\"active\"", "\"state\":\"dead\""),
            ("\"PciMsi\"", "\"Pci\""),
            ("\"id\":\"0x0\"", "\"id\":0"),
            ("\"id\":\"0x0\"", "\"id\":\"0x+1\""),
            ("\"cpu\":1,\"vector\":48", "\"cpu\":1"),
            ("\"delivered\":4,", ""),
            ("\"port\":20,", ""),
            ("\"held\":5", "\"held\":5,\"more\":1"),
            ("\"data\":0", "\"data\":-1"),
        ] {
            let mut changed = whole.clone();
            let place = changed.iter().position(|line| line.contains(from)).expect("it is there");
            changed[place] = changed[place].replacen(from, to, 1);
            assert!(read(&changed).is_err(), "{from} → {to}");
        }
        let whole = lines(&samples::wired());
        for (from, to) in [
            ("\"wiring\":1", "\"wiring\":4"),
            ("\"mode\":\"shared\"", "\"mode\":\"own\""),
            ("\"state\":\"held\"", "\"state\":\"told\""),
            ("\"standing\":\"late\"", "\"standing\":\"lost\""),
            (",\"standing\":\"late\"", ""),
            ("\"state\":\"held\"", "\"state\":\"closing\""),
            ("\"state\":\"closing\"", "\"state\":\"open\""),
            ("\"direct\":false", "\"direct\":true"),
            ("\"wires\":4", "\"wires\":3"),
            ("\"line\":35,", ""),
        ] {
            let mut changed = whole.clone();
            let place = changed.iter().position(|line| line.contains(from)).expect("it is there");
            changed[place] = changed[place].replacen(from, to, 1);
            assert!(read(&changed).is_err(), "{from} → {to}");
        }
        let said = ["@inspect {\"row\":\"error\",\"text\":\"no answer\"}".to_string()];
        let why = format!("{:#}", read(&said).expect_err("an error"));
        assert_eq!(why, "the guest has no snapshot: no answer");
    }

    proptest! {
        #[test]
        fn any_text_is_a_snapshot_or_an_error(text in "\\PC{0,80}", place in 0usize..13) {
            let mut serial = lines(&samples::small());
            serial.insert(place.min(serial.len()), format!("{PREFIX}{text}"));
            let _ = read(&serial);
        }
    }
}
