//! The result as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::scenario::{Budget, Compare};
use super::statistics::Spread;
use super::variant::Variant;

/// Width of a row's label, and of a column.
const LABEL: usize = 32;
const COLUMN: usize = 19;

/// One value of each variant, taken together.
pub(super) type Sample = BTreeMap<&'static str, f64>;

/// One figure of one load.
pub(super) struct Row {
    /// What it is.
    pub(super) label: &'static str,
    /// Its unit.
    pub(super) unit: &'static str,
    /// How a variant is compared with the yardstick.
    pub(super) compare: Compare,
    /// Weir's budget against the yardstick.
    pub(super) budget: Option<Budget>,
    /// Weir's budget against the metered reference.
    pub(super) budget_metered: Option<Budget>,
    /// Paired values.
    pub(super) samples: Vec<Sample>,
}

/// One load and its figures.
pub(super) struct Section {
    /// Its short name.
    pub(super) name: &'static str,
    /// What a reader sees.
    pub(super) title: &'static str,
    /// Its figures.
    pub(super) rows: Vec<Row>,
    /// Exchanges per second without a gateway, of each round: what the bench itself can do.
    pub(super) ceilings: Vec<f64>,
    /// Variants that could not do it, and why.
    pub(super) failures: Vec<(&'static str, String)>,
}

impl Row {
    /// A variant's values compared with another's of the same sample.
    fn compared(&self, variant: Variant, with: Variant) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| {
            let (value, base) = (sample.get(variant.name())?, sample.get(with.name())?);
            Some(match self.compare {
                Compare::Ratio => value / base,
                Compare::Difference => value - base,
            })
        }))
    }

    fn absolute(&self, variant: Variant) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| sample.get(variant.name()).copied()))
    }

    /// Budgets of Weir: against whom, the budget, what was found.
    fn verdicts(&self) -> impl Iterator<Item = (Variant, Budget, Option<Spread>)> {
        [(Variant::Js, self.budget), (Variant::Metered, self.budget_metered)]
            .into_iter()
            .filter_map(|(against, budget)| Some((against, budget?, self.compared(Variant::Weir, against))))
    }
}

impl Budget {
    fn is_kept(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(limit) => format!("≥ {limit:.1}"),
            Self::AtMost(limit) => format!("≤ {limit:.1}"),
        }
    }
}

/// Three digits that say something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn cell(compare: Compare, spread: Option<Spread>) -> String {
    let Some(Spread { median, low, high }) = spread else { return "–".into() };
    match compare {
        Compare::Ratio => format!("{median:.2} [{low:.2}–{high:.2}]"),
        Compare::Difference => format!("{median:+.2} [{low:+.2} {high:+.2}]"),
    }
}

fn padded(text: &str, width: usize) -> String {
    let length = text.chars().count();
    format!("{text}{}", " ".repeat(width.saturating_sub(length).max(1)))
}

/// The table.
pub(super) fn table(sections: &[Section], variants: &[Variant]) -> String {
    let mut text = String::new();
    for section in sections {
        let _ = write!(text, "\n{}", section.title);
        if let Some(ceiling) = Spread::of(section.ceilings.iter().copied()) {
            let _ = write!(text, "  (without a gateway {} /s)", number(ceiling.median));
        }
        text.push('\n');
        let mut titles = padded("", LABEL) + &padded("js", COLUMN / 2 + 3);
        for variant in variants.iter().filter(|variant| **variant != Variant::Js) {
            titles += &padded(variant.name(), COLUMN);
        }
        titles += "budget of weir";
        let _ = writeln!(text, "{titles}");
        for row in &section.rows {
            text += &row_text(row, variants);
        }
        for (variant, reason) in &section.failures {
            let _ = writeln!(text, "  FAIL {variant}: {reason}");
        }
    }
    text
}

fn row_text(row: &Row, variants: &[Variant]) -> String {
    let label = match row.compare {
        Compare::Ratio => row.label.to_owned(),
        Compare::Difference => format!("{}, added", row.label),
    };
    let mut text = padded(&format!("  {label}"), LABEL);
    let absolute =
        row.absolute(Variant::Js).map_or("–".into(), |js| format!("{} {}", number(js.median), row.unit));
    text += &padded(&absolute, COLUMN / 2 + 3);
    for variant in variants.iter().filter(|variant| **variant != Variant::Js) {
        text += &padded(&cell(row.compare, row.compared(*variant, Variant::Js)), COLUMN);
    }
    if !variants.contains(&Variant::Weir) {
        return text.trim_end().to_owned() + "\n";
    }
    for (against, budget, found) in row.verdicts() {
        let found = found.map(|spread| spread.median);
        let word = found.map_or("FAIL", |value| if budget.is_kept(value) { "PASS" } else { "MISS" });
        let _ = match against {
            Variant::Metered => {
                let found = found.map_or("–".into(), |value| format!("{value:.2}"));
                write!(text, "{found} {} × metered {word}   ", budget.text())
            }
            _ => write!(text, "{} {word}   ", budget.text()),
        };
    }
    text.trim_end().to_owned() + "\n"
}

/// The same for programs: medians and quartiles, absolute and compared, and each verdict.
pub(super) fn json(sections: &[Section], variants: &[Variant]) -> Value {
    let spread = |found: Option<Spread>| {
        found.map_or(
            Value::Null,
            |Spread { median, low, high }| json!({ "median": median, "low": low, "high": high }),
        )
    };
    let row = |row: &Row| {
        let of = |variant: &Variant| {
            let values = json!({
                "absolute": spread(row.absolute(*variant)),
                "to_js": spread(row.compared(*variant, Variant::Js)),
                "to_metered": spread(row.compared(*variant, Variant::Metered)),
            });
            (variant.name().to_owned(), values)
        };
        let verdicts: Vec<Value> = row
            .verdicts()
            .map(|(against, budget, found)| {
                json!({
                    "against": against.name(), "budget": budget.text(), "found": spread(found),
                    "kept": found.is_some_and(|found| budget.is_kept(found.median)),
                })
            })
            .collect();
        json!({
            "figure": row.label, "unit": row.unit, "pairs": row.samples.len(),
            "compared": match row.compare { Compare::Ratio => "ratio", Compare::Difference => "difference" },
            "variants": variants.iter().map(of).collect::<Map<_, _>>(),
            "verdicts": if variants.contains(&Variant::Weir) { verdicts } else { Vec::new() },
        })
    };
    Value::Array(
        sections
            .iter()
            .map(|section| {
                json!({
                    "name": section.name, "title": section.title,
                    "without_gateway": spread(Spread::of(section.ceilings.iter().copied())),
                    "rows": section.rows.iter().map(row).collect::<Vec<_>>(),
                    "failures": section.failures.iter().map(|(variant, reason)| json!({ "variant": variant, "reason": reason })).collect::<Vec<_>>(),
                })
            })
            .collect(),
    )
}
