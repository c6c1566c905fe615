//! An admitted exchange while it runs: what its caller is owed, and the call that is under way for it.
//!
//! Above the stages. Decides nothing: `finish` and its neighbours do.

use super::action::{Send, StreamEnd};
use super::admit::Admission;
use super::classify::Asked;
use super::filtering::Filtering;
use super::hedging::Leg;
use super::holding::Opening;
use super::kept::Parts;
use super::passed::Passed;
use super::relay::StreamRelay;
use super::tracking::{Track, Tried};
use super::translated::Translation;
use crate::account::record::Tracked;
use crate::attempt::AttemptMachine;
use crate::id::AccountId;
use crate::limit::Reservation;
use crate::route::select::Why;
use crate::snapshot::routing::Hedge;
use crate::snapshot::{Deadlines, Price, Task};
use crate::surface::Surface;
use crate::time::{Millis, UnixMillis};
use crate::translate::caller::Teller;
use crate::translate::{Decoder, Notes};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// An admitted exchange.
pub(super) struct Running {
    pub(super) admission: Admission,
    pub(super) account: AccountId,
    /// The deployment within the installation, for its retry budget.
    pub(super) scope: String,
    pub(super) task: Task,
    pub(super) surface: Surface,
    pub(super) operation: &'static str,
    pub(super) deployment: String,
    pub(super) model: String,
    /// The model's version, where the catalog has one.
    pub(super) version: String,
    pub(super) principal: String,
    pub(super) key: String,
    pub(super) deadlines: Deadlines,
    pub(super) machine: AttemptMachine,
    pub(super) entities: Vec<PreparedEntity>,
    /// Which of `entities` was called last.
    pub(super) entity: u32,
    pub(super) reservation: Reservation,
    pub(super) prompt_chars: u64,
    pub(super) streamed: bool,
    pub(super) usage_wanted: bool,
    pub(super) client_request_id: Option<String>,
    /// Given once a stream has a head.
    pub(super) relay: Option<StreamRelay>,
    /// Given beside it if the stream is of another dialect than the canonical one.
    pub(super) decoder: Option<Box<Decoder>>,
    /// Given if the caller speaks another dialect than the canonical one, with what it must be told of its request.
    pub(super) teller: Option<Box<(Teller, Notes)>>,
    /// Given while an upstream is called that speaks the caller's own dialect: the beginning of an event of its stream
    /// that is not whole yet.
    pub(super) own_words: Option<Vec<u8>>,
    /// Given as long as that stream is not the answer yet.
    pub(super) held: Option<Box<Opening>>,
    /// What was held back of it and a policy has not read yet.
    pub(super) pending: Vec<u8>,
    /// When the call in flight gives up waiting for its answer, or its first content.
    pub(super) until: UnixMillis,
    /// The deployment's content policy, if it has one.
    pub(super) filtering: Option<Box<Filtering>>,
    /// Given if the call is passed as it came.
    pub(super) passed: Option<Box<Passed>>,
    /// The same while an entity is called that is not sent the call as it came.
    pub(super) aside: Option<Box<Passed>>,
    pub(super) head_at: Option<UnixMillis>,
    /// The caller's own tags, a JSON object.
    pub(super) usage_context: Option<String>,
    /// Given if the deployment's usage is tracked.
    pub(super) tracked: Option<Box<Tracked>>,
    /// Of a million exchanges, so many are logged with their bodies.
    pub(super) sampling: Option<u32>,
    /// The exchange's handle, if it is.
    pub(super) log: Option<u32>,
    /// Whether another deployment takes what this one refuses (`azure.md`, C3).
    pub(super) spills: bool,
    /// The request, if it is to be admitted again there when this one's upstream has no room.
    pub(super) kept: Option<Rc<Parts>>,
    /// Bytes of the caller's body that the driver holds.
    pub(super) body_bytes: u32,
    /// What a classifier is being asked.
    pub(super) asked: Option<Box<Asked>>,
    /// When the head of a stream came that is being read whole.
    pub(super) whole_since: Option<UnixMillis>,
    /// How the stream ended that waits for a classifier.
    pub(super) over: Option<StreamEnd>,
    /// How the deployment makes second calls, if it does.
    pub(super) hedging: Option<Hedge>,
    /// Given if a second call may be made beside the first: after how long.
    pub(super) hedge: Option<Millis>,
    /// Given while two calls of one exchange are under way: which of them this is.
    pub(super) leg: Option<Box<Leg>>,
    /// What calls of the attempt were answered, each a part of the answer.
    pub(super) gathered: Vec<Vec<u8>>,
    /// How the call in flight is followed.
    pub(super) track: Track,
    /// The attempts that failed, in order.
    pub(super) tried: Vec<Tried>,
}

/// All that a call of one entity needs, prepared while the request was at hand.
pub(super) struct PreparedEntity {
    pub(super) name: String,
    /// Why it stands at its place.
    pub(super) why: Why,
    /// Expected microseconds of its answer when it was chosen, as far as that was known.
    pub(super) load: Option<u64>,
    pub(super) price: Option<Price>,
    pub(super) send: Send,
    /// Given if the entity speaks another dialect than the canonical one.
    pub(super) translation: Option<Box<Translation>>,
    /// Whether its answers may be not quite canonical: those of servers of anyone's make.
    pub(super) lenient: bool,
}

impl Running {
    /// An exchange of which no more is known than where it belongs, who asked for what, and what it may take.
    pub(super) fn bare(
        admission: Admission,
        (account, scope): (AccountId, String),
        (surface, operation, task): (Surface, &'static str, Task),
        deadlines: Deadlines,
        machine: AttemptMachine,
        entities: Vec<PreparedEntity>,
    ) -> Self {
        Self {
            admission,
            account,
            scope,
            task,
            surface,
            operation,
            deployment: String::new(),
            model: String::new(),
            version: String::new(),
            principal: String::new(),
            key: String::new(),
            deadlines,
            machine,
            entities,
            entity: 0,
            reservation: Reservation::default(),
            prompt_chars: 0,
            streamed: false,
            usage_wanted: false,
            client_request_id: None,
            relay: None,
            decoder: None,
            teller: None,
            own_words: None,
            held: None,
            pending: Vec::new(),
            until: admission.began,
            filtering: None,
            passed: None,
            aside: None,
            head_at: None,
            usage_context: None,
            tracked: None,
            sampling: None,
            log: None,
            spills: false,
            kept: None,
            body_bytes: 0,
            asked: None,
            whole_since: None,
            over: None,
            hedging: None,
            hedge: None,
            leg: None,
            gathered: Vec::new(),
            track: Track::new(false, false),
            tried: Vec::new(),
        }
    }

    /// The entity that is called.
    pub(super) fn called(&self) -> Option<&PreparedEntity> {
        self.entities.get(usize::try_from(self.entity).ok()?)
    }

    /// Whether the answer's text must be read: then its stream cannot be handed through unread.
    pub(super) fn needs_text(&self) -> bool {
        self.filtering.as_ref().is_some_and(|filtering| filtering.needs_text())
    }

    /// Whether a stream is read whole before any of it goes on.
    pub(super) fn buffers(&self) -> bool {
        self.filtering.as_ref().is_some_and(|filtering| filtering.buffers())
    }

    /// The policy at work, if it reads the answer.
    pub(super) fn vetted(&mut self) -> Option<&mut Filtering> {
        if self.needs_text() { self.filtering.as_deref_mut() } else { None }
    }
}
