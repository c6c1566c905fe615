//! What kind of world a test wants: who asks for what, and what goes wrong.

use crate::clock::{MILLI, Micros, SECOND, Skew};
use crate::random::Random;
use crate::upstream::Manners;
use crate::world::judge::{BAD, Judge};
use weir_core::seal::{SealKey, digest};
use weir_core::{control, exchange};

/// The administrator's token, which is a data key as well.
pub const ADMIN: &str = "admin-of-the-world";
/// The deployment with limits.
pub const CHAT: &str = "chat";
/// The endpoint whose configuration changes.
pub const LIVE: &str = "live";

/// A kind of world.
#[derive(Clone, Debug)]
pub struct Scene {
    /// How many isolates there are.
    pub isolates: u64,
    /// How long requests come.
    pub lasts: Micros,
    /// How many requests come, all in all.
    pub requests: u64,
    /// How many of a thousand go to [`LIVE`].
    pub live: u64,
    /// How many of a thousand ask for a stream.
    pub streamed: u64,
    /// The capacity of [`CHAT`]: 6 requests and 1 000 tokens a minute each.
    pub capacity: u64,
    /// The largest prompt in tokens, and the largest `max_tokens`.
    pub prompt: u64,
    /// Largest `max_tokens`; the output is anything up to it, and sometimes beyond.
    pub output: u64,
    /// How often the operator does something.
    pub commands: u64,
    /// The classifier that judges what [`CHAT`] is asked and answers, if there is one.
    pub judge: Option<Judge>,
    /// What goes wrong.
    pub faults: Faults,
}

/// What goes wrong in a world.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Shortest and longest journey of a message, one way.
    pub travel: (Micros, Micros),
    /// Messages and answers of a thousand that are lost.
    pub lost: u64,
    /// Messages of a thousand at which the object dies before it has stored anything.
    pub crashes: u64,
    /// Kills of isolates.
    pub kills: u64,
    /// Restarts of objects.
    pub restarts: u64,
    /// Largest error of a clock, in milliseconds.
    pub offset: u64,
    /// Largest drift of a clock, in parts in a million.
    pub drift: u64,
    /// The upstreams' behaviour.
    pub manners: Manners,
}

/// One caller's wish.
#[derive(Clone, Debug)]
pub struct Asks {
    /// When.
    pub at: Micros,
    /// Of which deployment.
    pub deployment: &'static str,
    /// As a stream.
    pub streamed: bool,
    /// Prompt tokens.
    pub prompt: u64,
    /// `max_tokens`.
    pub output_max: u64,
    /// What the model will say, in tokens.
    pub tokens: u64,
    /// Whether the prompt is bad.
    pub bad_prompt: bool,
    /// Whether a classifier judges the exchange, and the answer is bad.
    pub judged: Option<bool>,
}

impl Scene {
    /// A small world in which everything goes well.
    pub const fn calm() -> Self {
        Self {
            isolates: 8,
            lasts: 20 * SECOND,
            requests: 100,
            live: 400,
            streamed: 300,
            capacity: 10,
            prompt: 60,
            output: 120,
            commands: 6,
            judge: None,
            faults: Faults::none(),
        }
    }

    /// A small world in which everything goes wrong.
    pub const fn rough() -> Self {
        Self {
            faults: Faults {
                travel: (MILLI, 150 * MILLI),
                lost: 60,
                crashes: 20,
                kills: 3,
                restarts: 4,
                offset: 3_600_000,
                drift: 200,
                manners: Manners { failing: 250, breaking: 250, slowest: 1_500 * MILLI },
            },
            ..Self::calm()
        }
    }

    /// The requests of this world.
    pub fn traffic(&self, random: &mut Random) -> Vec<Asks> {
        let ask = |random: &mut Random| {
            let output_max = random.between(1, self.output);
            // One in twenty models says more than it was allowed to.
            let said = if random.permille(50) { output_max * 3 } else { output_max };
            let mut asks = Asks {
                at: random.between(0, self.lasts),
                deployment: if random.permille(self.live) { LIVE } else { CHAT },
                streamed: random.permille(self.streamed),
                prompt: random.between(1, self.prompt),
                output_max,
                tokens: random.between(1, said),
                bad_prompt: false,
                judged: None,
            };
            // Worlds without a classifier draw nothing more.
            if let Some(judge) = self.judge.filter(|_| asks.deployment == CHAT) {
                asks.bad_prompt = random.permille(judge.bad);
                asks.judged = Some(random.permille(judge.bad));
            }
            asks
        };
        (0..self.requests).map(|_| ask(random)).collect()
    }
}

impl Faults {
    /// Nothing goes wrong; messages take some milliseconds.
    pub const fn none() -> Self {
        Self {
            travel: (2 * MILLI, 12 * MILLI),
            lost: 0,
            crashes: 0,
            kills: 0,
            restarts: 0,
            offset: 0,
            drift: 0,
            manners: Manners { failing: 0, breaking: 0, slowest: 400 * MILLI },
        }
    }

    /// Nothing more goes wrong.
    pub const fn calm(&mut self) {
        (self.lost, self.crashes) = (0, 0);
    }

    /// How long a message travels.
    pub const fn travel(&self, random: &mut Random) -> Micros {
        random.between(self.travel.0, self.travel.1)
    }

    /// A clock.
    pub fn skew(&self, random: &mut Random) -> Skew {
        let either = |random: &mut Random, most: u64| {
            let most = i64::try_from(most).expect("small");
            i64::try_from(random.between(0, 2 * most.unsigned_abs())).expect("small") - most
        };
        Skew { offset: either(random, self.offset), drift: either(random, self.drift) }
    }
}

impl Asks {
    /// The request's address.
    pub fn url(&self) -> String {
        match self.deployment {
            LIVE => format!("https://weir.example/serving-endpoints/{LIVE}/invocations"),
            name => format!(
                "https://weir.example/openai/deployments/{name}/chat/completions?api-version=2024-10-21"
            ),
        }
    }

    /// The request's body.
    pub fn body(&self) -> String {
        let prompt = "abcd".repeat(usize::try_from(self.prompt).expect("small"));
        let bad = if self.bad_prompt { BAD } else { "" };
        format!(
            r#"{{"messages":[{{"role":"user","content":"{prompt}{bad}"}}],"max_tokens":{},"stream":{}}}"#,
            self.output_max, self.streamed
        )
    }
}

/// The installation's settings, as its objects have them.
pub fn settings() -> control::Settings {
    control::Settings {
        admin_token_hash: Some(digest(ADMIN.as_bytes())),
        seal_key: Some(seal_key()),
        allow_private_upstreams: false,
        dev: true,
        issuer: None,
        strict_marketplace: false,
        public_url: None,
    }
}

/// The installation's settings, as its isolates have them.
pub fn isolate_settings() -> exchange::Settings {
    exchange::Settings {
        admin_token_hash: Some(digest(ADMIN.as_bytes())),
        seal_key: Some(seal_key()),
        region: None,
    }
}

fn seal_key() -> SealKey {
    SealKey::parse("a sealing key for worlds that do not exist").expect("long enough")
}
