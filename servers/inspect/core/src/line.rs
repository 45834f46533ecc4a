//! Rows as lines of a serial port: `@inspect {…}`, one JSON object a line.
//!
//! The first line of a snapshot is `{"row":"begin","format":1,"server":"interrupt"}`, the last one
//! `{"row":"end","rows":N,"steady":true}` with the number of rows between; without it, or
//! with another number, the snapshot is not whole. An attempt that failed is one line,
//! `{"row":"error","text":"…"}`. What a row does not have is left out. Numbers of 64 bits are
//! text in hexadecimal, because many readers of JSON lose bits of larger numbers than 2^53.

use core::fmt::{self, Write};
use tocsin_proto::interrupt::{
    Arrives, Binding, ClientRow, Counters, MessageRow, Row, ServerRow, SpaceRow, WireRow,
};

use crate::names::{line_state, owner_state, state, wire_mode};

/// What every line starts with.
pub const PREFIX: &str = "@inspect ";
/// What the first line says of those that follow.
pub const FORMAT: u32 = 1;

/// The first line, with the name of the endpoint whose server it is.
///
/// # Errors
/// The writer's.
pub fn begin(server: &str, f: &mut impl Write) -> fmt::Result {
    Object::start(f, "begin")?.number("format", FORMAT.into())?.text("server", server)?.end()
}

/// The last line; `is_steady`: nothing changed while the rows were read.
///
/// # Errors
/// The writer's.
pub fn end(rows: usize, is_steady: bool, f: &mut impl Write) -> fmt::Result {
    Object::start(f, "end")?.number("rows", rows as u64)?.raw("steady", is_steady)?.end()
}

/// In place of a snapshot: why there is none.
///
/// # Errors
/// The writer's.
pub fn error(text: &str, f: &mut impl Write) -> fmt::Result {
    Object::start(f, "error")?.text("text", text)?.end()
}

/// A row.
///
/// # Errors
/// The writer's.
pub fn row(row: &Row, f: &mut impl Write) -> fmt::Result {
    match row {
        Row::Server(row) => server(row, f),
        Row::Space(row) => space(row, f),
        Row::Client(row) => client(row, f),
        Row::Message(row) => message(row, f),
        Row::Wire(row) => wire(row, f),
    }
}

fn server(row: &ServerRow, f: &mut impl Write) -> fmt::Result {
    Object::start(f, "server")?
        .text("remapper", row.remapper.name())?
        .raw("isolated", row.isolated)?
        .raw("allow_unisolated", row.allow_unisolated)?
        .number("cpus", row.cpus.into())?
        .number("entries_total", row.entries_total.into())?
        .number("entries_used", row.entries_used.into())?
        .number("messages_total", row.messages_total.into())?
        .number("messages_used", row.messages_used.into())?
        .number("quarantined", row.quarantined.into())?
        .number("undo_failures", row.undo_failures.into())?
        .number("faults", row.faults)?
        .number("flushes_late", row.flushes_late)?
        .number("changes", row.changes)?
        .number("wires", row.wires.into())?
        .end()
}

fn space(row: &SpaceRow, f: &mut impl Write) -> fmt::Result {
    Object::start(f, "space")?
        .maybe("cpu", row.cpu)?
        .number("total", row.total.into())?
        .number("free", row.free.into())?
        .number("quarantined", row.quarantined.into())?
        .end()
}

fn client(row: &ClientRow, f: &mut impl Write) -> fmt::Result {
    let object = Object::start(f, "client")?
        .number("client", row.client.into())?
        .text("owner", row.owner.as_str())?
        .maybe("vendor", row.kind.map(|kind| kind.vendor))?
        .maybe("device", row.kind.map(|kind| kind.device))?
        .number("quota", row.quota.into())?
        .number("held", row.held.into())?
        .number("faults", row.faults)?
        .maybe("dma_function", row.dma_arrives)?
        .only_if("past_remapper", row.past_remapper)?
        .maybe("device_id", row.device)?
        .maybe("dma_device_id", row.dma_device)?;
    match row.arrives {
        Arrives::Own => object,
        Arrives::Function(id) => object.number("source_function", id.into())?,
        Arrives::Device(id) => object.number("source_device", id.into())?,
        Arrives::Buses { first, last } => object
            .number("source_first_bus", first.into())?
            .number("source_last_bus", last.into())?,
    }
    .end()
}

fn message(row: &MessageRow, f: &mut impl Write) -> fmt::Result {
    Object::start(f, "message")?
        .hex("id", row.id.0)?
        .number("owner", row.owner.into())?
        .text("store", row.kind.name())?
        .maybe("slot", row.slot)?
        .text("state", state(row.state))?
        .only_if("storm", row.storm)?
        .only_if("moving", row.moving)?
        .hex("address", row.address)?
        .number("data", row.data.into())?
        .maybe("entry", row.entry)?
        .maybe("device_id", row.device)?
        .maybe("cpu", row.event.map(|event| event.cpu))?
        .maybe("vector", row.event.map(|event| event.vector))?
        .hex("cpus", row.cpus)?
        .number("waiting", row.waiting.into())?
        .number("faults", row.faults.into())?
        .counters(row.counters)?
        .binding(row.binding)?
        .end()
}

fn wire(row: &WireRow, f: &mut impl Write) -> fmt::Result {
    let mut object = Object::start(f, "wire")?
        .hex("id", row.id.0)?
        .number("line", row.line.0.into())?
        .number("wiring", row.wiring.to_bits().into())?
        .text("mode", wire_mode(row.mode))?
        .text("state", line_state(row.state))?
        .raw("direct", row.direct)?;
    if let Some(owner) = row.owner {
        object = object
            .number("client", owner.client.into())?
            .text("owner", owner.name.as_str())?
            .text("standing", owner_state(owner.state))?;
    }
    if let Some(id) = row.message {
        object = object.hex("message", id.0)?;
    }
    object
        .number("cpu", row.event.cpu.into())?
        .number("vector", row.event.vector.into())?
        .counters(row.counters)?
        .binding(row.binding)?
        .end()
}

/// A line that is being written.
struct Object<'a, W: Write>(&'a mut W);

impl<'a, W: Write> Object<'a, W> {
    fn start(f: &'a mut W, row: &str) -> Result<Self, fmt::Error> {
        write!(f, "{PREFIX}{{\"row\":\"{row}\"")?;
        Ok(Object(f))
    }

    fn raw(self, name: &str, value: impl fmt::Display) -> Result<Self, fmt::Error> {
        write!(self.0, ",\"{name}\":{value}")?;
        Ok(self)
    }

    fn number(self, name: &str, value: u64) -> Result<Self, fmt::Error> {
        self.raw(name, value)
    }

    fn maybe(self, name: &str, value: Option<impl fmt::Display>) -> Result<Self, fmt::Error> {
        match value {
            Some(value) => self.raw(name, value),
            None => Ok(self),
        }
    }

    fn only_if(self, name: &str, is_so: bool) -> Result<Self, fmt::Error> {
        if is_so { self.raw(name, true) } else { Ok(self) }
    }

    fn hex(self, name: &str, value: u64) -> Result<Self, fmt::Error> {
        self.raw(name, format_args!("\"{value:#x}\""))
    }

    fn text(self, name: &str, text: &str) -> Result<Self, fmt::Error> {
        write!(self.0, ",\"{name}\":\"")?;
        for char in text.chars() {
            match char {
                '"' | '\\' => write!(self.0, "\\{char}")?,
                // RFC 8259 §7: what must be escaped.
                '\0'..='\x1f' => write!(self.0, "\\u{:04x}", u32::from(char))?,
                _ => self.0.write_char(char)?,
            }
        }
        self.0.write_char('"')?;
        Ok(self)
    }

    fn counters(self, counters: Option<Counters>) -> Result<Self, fmt::Error> {
        let Some(counters) = counters else { return Ok(self) };
        self.number("delivered", counters.delivered)?
            .number("coalesced", counters.coalesced)?
            .number("blocked", counters.blocked)?
            .number("last_cpu", counters.last_cpu.into())
    }

    fn binding(self, binding: Option<Binding>) -> Result<Self, fmt::Error> {
        let Some(binding) = binding else { return Ok(self) };
        self.number("port", binding.port.into())?
            .number("process", binding.process.into())?
            .hex("key", binding.key)
    }

    fn end(self) -> fmt::Result {
        self.0.write_char('}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn text(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
        let mut line = String::new();
        write(&mut line).expect("a string takes everything");
        line
    }

    #[test]
    fn rows_are_these_lines() {
        let lines: Vec<String> =
            samples::small().iter().map(|each| text(|f| row(each, f))).collect();
        assert_eq!(
            lines[1],
            "@inspect {\"row\":\"space\",\"cpu\":0,\"total\":200,\"free\":198,\"quarantined\":0}"
        );
        assert_eq!(
            lines[4],
            "@inspect {\"row\":\"client\",\"client\":32,\"owner\":\"lsi\",\"vendor\":4096,\
             \"device\":18,\"quota\":4096,\"held\":5,\"faults\":0}"
        );
        assert_eq!(
            lines[8],
            "@inspect {\"row\":\"message\",\"id\":\"0x3\",\"owner\":32,\"store\":\"QueueMemory\",\
             \"slot\":7,\"state\":\"blocked\",\"storm\":true,\"address\":\"0xfee00010\",\"data\":3,\
             \"entry\":3,\"cpu\":1,\"vector\":49,\"cpus\":\"0x3\",\"waiting\":0,\"faults\":0,\
             \"delivered\":4,\"coalesced\":1,\"blocked\":0,\"last_cpu\":0,\"port\":20,\
             \"process\":0,\"key\":\"0x7\"}"
        );
        assert_eq!(
            lines[10],
            "@inspect {\"row\":\"message\",\"id\":\"0x5\",\"owner\":32,\"store\":\"QueueMemory\",\
             \"state\":\"quarantined\",\"address\":\"0xfee00010\",\"data\":5,\"entry\":5,\
             \"cpus\":\"0x3\",\"waiting\":1,\"faults\":0}"
        );
    }

    #[test]
    fn wires_are_these_lines() {
        let rows = samples::wired();
        let lines: Vec<String> = rows.iter().map(|each| text(|f| row(each, f))).collect();
        let wires: Vec<&String> = lines.iter().filter(|it| it.contains("\"wire\"")).collect();
        assert_eq!(
            wires[0],
            "@inspect {\"row\":\"wire\",\"id\":\"0x80000000\",\"line\":4,\"wiring\":0,\
             \"mode\":\"exclusive\",\"state\":\"open\",\"direct\":false,\"client\":65539,\
             \"owner\":\"console\",\"standing\":\"good\",\"message\":\"0x6\",\"cpu\":0,\"vector\":51,\
             \"delivered\":4,\"coalesced\":1,\"blocked\":0,\"last_cpu\":0,\"port\":23,\
             \"process\":3,\"key\":\"0x4\"}"
        );
        assert_eq!(
            wires[3],
            "@inspect {\"row\":\"wire\",\"id\":\"0x80000003\",\"line\":40,\"wiring\":1,\
             \"mode\":\"exclusive\",\"state\":\"closing\",\"direct\":true,\"cpu\":1,\"vector\":40}"
        );
    }

    #[test]
    fn frames_and_odd_text() {
        let first = "@inspect {\"row\":\"begin\",\"format\":1,\"server\":\"interrupt\"}";
        assert_eq!(text(|f| begin("interrupt", f)), first);
        let last = "@inspect {\"row\":\"end\",\"rows\":7,\"steady\":false}";
        assert_eq!(text(|f| end(7, false, f)), last);
        let odd = "@inspect {\"row\":\"error\",\"text\":\"a\\\"b\\\\c\\u000ad é\"}";
        assert_eq!(text(|f| error("a\"b\\c\nd é", f)), odd);
    }
}
