//! SVG's few shapes that the drawing is made of.

use inspect_core::Sums;
use std::fmt::Write;
use tocsin_proto::interrupt::{MessageRow, RowState};

/// What a colour stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Reserved,
    Active,
    Blocked,
    Storm,
    Quarantined,
}

impl State {
    pub const ALL: [Self; 5] =
        [Self::Reserved, Self::Active, Self::Blocked, Self::Storm, Self::Quarantined];

    pub const fn of(row: &MessageRow) -> Self {
        match row.state {
            RowState::Reserved => Self::Reserved,
            RowState::Active => Self::Active,
            RowState::Blocked if row.storm => Self::Storm,
            RowState::Blocked => Self::Blocked,
            RowState::Quarantined => Self::Quarantined,
        }
    }

    /// How many of these messages it stands for. A storm's are blocked ones.
    pub const fn count(self, sums: &Sums) -> u64 {
        match self {
            Self::Reserved => sums.state(RowState::Reserved),
            Self::Active => sums.state(RowState::Active),
            Self::Blocked => sums.state(RowState::Blocked).saturating_sub(sums.storms),
            Self::Storm => sums.storms,
            Self::Quarantined => sums.state(RowState::Quarantined),
        }
    }

    /// Its class in the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Storm => "storm",
            Self::Quarantined => "quarantined",
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Storm => "blocked for a storm",
            other => other.class(),
        }
    }
}

const STYLE: &str = "
text{font-family:'DejaVu Sans',Verdana,Helvetica,sans-serif;font-size:11px;fill:#1d2733}
.title{font-size:18px;font-weight:bold}.strong{font-size:12px;font-weight:bold}
.dim{fill:#68778a;font-size:10px}.good{fill:#1c7c43}.bad{fill:#c01f1f;font-weight:bold}
.mono{font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:9px;white-space:pre}
.box{fill:#fff;stroke:#5b6b7f}.page{fill:#f4f6f9}.frame{fill:#fff;stroke:#c9d2dc}
.flow{fill:none;stroke:#8fa3ba;stroke-opacity:.55}.tree{fill:none;stroke:#5b6b7f}
.reserved{fill:#c3cedb}.active{fill:#2f9e5c}.blocked{fill:#e8a317}.storm{fill:#d32f2f}
.quarantined{fill:#8a63c9}.used{fill:#5f86b3}
a:hover rect{stroke:#000}g:target text{font-weight:bold;fill:#c01f1f}
";

/// A drawing that is being made.
#[derive(Default)]
pub struct Draw(String);

impl Draw {
    pub fn rect(&mut self, x: f64, y: f64, w: f64, h: f64, class: &str, title: Option<&str>) {
        let (x, y, w, h) = (Num(x), Num(y), Num(w), Num(h));
        let shape =
            format!("<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" class=\"{class}\"");
        self.0 += &match title {
            Some(title) => format!("{shape}><title>{}</title></rect>\n", escape(title)),
            None => format!("{shape}/>\n"),
        };
    }

    pub fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let (x, y, text) = (Num(x), Num(y), escape(text));
        // Writing into a string can not fail.
        let _ = writeln!(self.0, "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{text}</text>");
    }

    /// A line from left to right between two points.
    pub fn link(&mut self, from: (f64, f64), to: (f64, f64), class: &str, width: f64) {
        let bend = (to.0 - from.0) / 2.0;
        let [x0, y0, x1, y1] = [from.0, from.1, to.0, to.1].map(Num);
        let (bend0, bend1, width) = (Num(from.0 + bend), Num(to.0 - bend), Num(width));
        let _ = writeln!(
            self.0,
            "<path d=\"M{x0} {y0}C{bend0} {y0} {bend1} {y1} {x1} {y1}\" class=\"{class}\" \
             stroke-width=\"{width}\"/>"
        );
    }

    /// What `inside` draws is a link to `target`.
    pub fn anchor(&mut self, target: &str, inside: impl FnOnce(&mut Self)) {
        let _ = writeln!(self.0, "<a href=\"#{target}\">");
        inside(self);
        self.0 += "</a>\n";
    }

    /// What `inside` draws can be linked to.
    pub fn target(&mut self, id: &str, inside: impl FnOnce(&mut Self)) {
        let _ = writeln!(self.0, "<g id=\"{id}\">");
        inside(self);
        self.0 += "</g>\n";
    }

    /// The whole file.
    pub fn finish(self, width: f64, height: f64) -> String {
        let (width, height) = (Num(width), Num(height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" class=\"page\"/>\n{}</svg>\n",
            self.0
        )
    }
}

/// A coordinate with one decimal at most.
#[derive(Clone, Copy)]
struct Num(f64);

impl std::fmt::Display for Num {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", (self.0 * 10.0).round() / 10.0)
    }
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\n' => safe.push('\n'),
            // XML 1.0 §2.2 has no others.
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_not_break_out() {
        assert_eq!(escape("a<b>&\"c\"\u{1}"), "a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 1.26, 12.04, 99.96].map(|number| Num(number).to_string());
        assert_eq!(shown, ["0", "1.3", "12", "100"]);
    }
}
