//! What is measured: the loads, and the budgets of the design for each figure.

use std::time::Duration;

use super::load::{Expect, Length};
use super::variant::{DEPLOYMENT, FILTERED};

/// Weir's budget for a figure, as a ratio or, where it says so, a difference.
#[derive(Clone, Copy)]
pub(super) enum Budget {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// How a figure is compared with the yardstick's of the same cycle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    /// Divided by it.
    Ratio,
    /// It is subtracted.
    Difference,
}

/// A figure of a slice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    /// Exchanges per second.
    Rate,
    /// Median time to the end of the answer, in ms.
    P50,
    /// 99th percentile of the same, in ms.
    P99,
    /// Processor time of the gateway's process per exchange, in µs; work done after the answer included.
    Cpu,
    /// Median time to the first body byte, in ms.
    First,
}

/// One line of the result.
pub(super) struct Line {
    /// What is measured.
    pub(super) figure: Figure,
    /// How it is compared.
    pub(super) compare: Compare,
    /// Weir's budget against the yardstick.
    pub(super) budget: Option<Budget>,
    /// Weir's budget against the metered reference.
    pub(super) budget_metered: Option<Budget>,
}

/// One load.
pub(super) struct Scenario {
    /// The name that `--only` looks for.
    pub(super) name: &'static str,
    /// What a reader sees.
    pub(super) title: &'static str,
    /// The request's body.
    pub(super) body: String,
    /// The deployment that Weir's callers name instead: one with other duties, against the same yardstick.
    pub(super) of_weir: &'static str,
    /// What the answer must be.
    pub(super) expect: Expect,
    /// Connections kept open, each in a closed loop.
    pub(super) connections: usize,
    /// One slice of one variant.
    pub(super) length: Length,
    /// Cycles per round: (default, quick).
    pub(super) cycles: (u32, u32),
    /// Figures shown.
    pub(super) lines: Vec<Line>,
}

const fn line(figure: Figure, budget: Option<Budget>, budget_metered: Option<Budget>) -> Line {
    Line { figure, compare: Compare::Ratio, budget, budget_metered }
}

/// A chat request of about `bytes`; `members` come before the messages, as clients send them.
fn chat(bytes: usize, members: &str) -> String {
    const TEXT: &str = "Explain how a weir measures the flow of a river, and why its crest is sharp. ";
    let turns = (bytes / 2048).max(1);
    let head =
        format!(r#"{{"model":"{DEPLOYMENT}",{members}"temperature":0.7,"max_tokens":256,"messages":["#);
    let each = (bytes.saturating_sub(head.len()) / turns).saturating_sub(29);
    let text: String = TEXT.chars().cycle().take(each).collect();
    let turn = format!(r#"{{"role":"user","content":"{text}"}}"#);
    format!("{head}{}]}}", vec![turn; turns].join(","))
}

fn plain(name: &'static str, title: &'static str, bytes: usize, connections: usize) -> Scenario {
    Scenario {
        name,
        title,
        body: chat(bytes, ""),
        of_weir: DEPLOYMENT,
        expect: Expect::Json,
        connections,
        length: Length::Time(Duration::from_millis(150)),
        cycles: (8, 8),
        lines: Vec::new(),
    }
}

fn stream(name: &'static str, title: &'static str, members: &str) -> Scenario {
    Scenario {
        name,
        title,
        body: chat(1024, &format!(r#""stream":true,{members}"#)),
        of_weir: DEPLOYMENT,
        expect: Expect::Stream,
        connections: 8,
        length: Length::Time(Duration::from_millis(200)),
        cycles: (6, 4),
        lines: Vec::new(),
    }
}

/// A request to see whether a gateway answers.
pub(super) fn smallest() -> String {
    chat(0, "")
}

const ASK_USAGE: &str = r#""stream_options":{"include_usage":true},"#;
const PACED: &str = r#""user":"paced","stream_options":{"include_usage":true},"#;

/// All loads, in the order in which they run.
pub(super) fn all() -> Vec<Scenario> {
    use Budget::{AtLeast, AtMost};
    use Figure::{Cpu, First, P50, P99, Rate};
    let stream_cpu = || line(Cpu, Some(AtMost(1.5)), None);
    vec![
        Scenario {
            cycles: (12, 10),
            lines: vec![
                line(Rate, Some(AtLeast(0.9)), Some(AtLeast(1.1))),
                line(P50, None, None),
                line(P99, None, None),
                line(Cpu, Some(AtMost(1.1)), Some(AtMost(0.9))),
            ],
            ..plain("chat-32", "chat, 1 KB, 32 connections", 1024, 32)
        },
        Scenario {
            cycles: (8, 5),
            of_weir: FILTERED,
            lines: vec![line(Rate, None, None), line(P50, None, None), line(Cpu, None, None)],
            ..plain(
                "chat-filtered",
                "the same; Weir reads prompt and answer for Microsoft.DefaultV2",
                1024,
                32,
            )
        },
        Scenario {
            length: Length::Time(Duration::from_millis(120)),
            cycles: (8, 5),
            lines: vec![line(P50, None, None), line(P99, None, None), line(Cpu, None, None)],
            ..plain("chat-1", "chat, 1 KB, 1 connection", 1024, 1)
        },
        Scenario {
            cycles: (8, 5),
            lines: vec![line(Rate, Some(AtLeast(1.4)), None), line(P50, None, None), line(Cpu, None, None)],
            ..plain("body-16k", "chat, 16 KB, 8 connections", 16 * 1024, 8)
        },
        Scenario {
            length: Length::Time(Duration::from_millis(250)),
            cycles: (6, 4),
            lines: vec![line(Rate, Some(AtLeast(3.5)), None), line(P50, None, None), line(Cpu, None, None)],
            ..plain("body-1m", "chat, 1 MB, 8 connections", 1024 * 1024, 8)
        },
        Scenario {
            lines: vec![stream_cpu(), line(P50, None, None), line(Rate, None, None)],
            ..stream("stream", "stream of 200 events, unpaced, usage asked, 8 connections", ASK_USAGE)
        },
        Scenario {
            lines: vec![stream_cpu(), line(P50, None, None)],
            ..stream("stream-quiet", "the same, usage not asked by the caller", "")
        },
        Scenario {
            of_weir: FILTERED,
            lines: vec![stream_cpu(), line(P50, None, None)],
            ..stream(
                "stream-filtered",
                "the same, usage asked; Weir vets it for Microsoft.DefaultV2",
                ASK_USAGE,
            )
        },
        Scenario {
            length: Length::Each(1),
            cycles: (4, 3),
            lines: vec![
                stream_cpu(),
                Line { compare: Compare::Difference, ..line(First, Some(AtMost(1.0)), None) },
                line(P50, None, None),
            ],
            ..stream("stream-paced", "stream of 200 events, one each 5 ms, 8 connections", PACED)
        },
    ]
}
