//! The content policies of a snapshot, each made ready once, with the classifiers that they name.
//!
//! Base. Decides what a name stands for that is none, and how Weir shows itself to a classifier's service; not what a
//! policy does (`policy`).

use super::entity::is_header_value;
use crate::policy::{ReadyClassifier, ReadyPolicy, missing};
use crate::seal::{SealKey, open};
use crate::snapshot::content::{Classifier, ContentPolicy, ContentRules, DEFAULT_CLASSIFIER, Service};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// The content policies of a snapshot, each made ready once.
pub(super) struct Policies<'k> {
    rules: ContentRules,
    ready: Vec<Rc<ReadyPolicy>>,
    seal_key: Option<&'k SealKey>,
}

impl<'k> Policies<'k> {
    pub(super) const fn new(rules: ContentRules, seal_key: Option<&'k SealKey>) -> Self {
        Self { rules, ready: Vec::new(), seal_key }
    }

    /// The policy of this name. One that is not there is the default one: a text must not go unread because a name
    /// is wrong.
    pub(super) fn find(&mut self, name: &str) -> Rc<ReadyPolicy> {
        let own = self.rules.policies.iter().find(|policy| policy.name.eq_ignore_ascii_case(name)).cloned();
        let system = own.is_none();
        let policy = own.or_else(|| ContentPolicy::system(name)).unwrap_or_else(ContentPolicy::default_v2);
        if let Some(known) = self.ready.iter().find(|known| known.name() == policy.name) {
            return Rc::clone(known);
        }
        let unnamed = system || policy.guard.is_some();
        let classifier = self.classifier(policy.classifier.as_deref(), unnamed);
        let topical = policy
            .guard
            .as_ref()
            .is_some_and(|guard| !guard.prompt_topics.is_empty() || !guard.completion_topics.is_empty());
        let classifier = classifier.or_else(|| topical.then(|| missing(DEFAULT_CLASSIFIER)));
        let mut ready = ReadyPolicy::new(policy, &self.rules.blocklists);
        if let Some(classifier) = classifier {
            ready = ready.with_classifier(Rc::new(classifier));
        }
        let ready = Rc::new(ready);
        self.ready.push(Rc::clone(&ready));
        ready
    }

    /// The classifier that a policy names; the default one for policies of the system, if there is one. A name that
    /// is none stands for a classifier that fails, for the same reason as above.
    fn classifier(&self, name: Option<&str>, system: bool) -> Option<ReadyClassifier> {
        let named = name.or_else(|| system.then_some(DEFAULT_CLASSIFIER))?;
        let known = self.rules.classifiers.iter().find(|known| known.name.eq_ignore_ascii_case(named));
        let Some(known) = known else { return name.map(missing) };
        Some(ReadyClassifier { headers: classifier_headers(known, self.seal_key), classifier: known.clone() })
    }
}

/// The headers that show Weir to a classifier's service; `None` if its key does not open.
fn classifier_headers(classifier: &Classifier, seal_key: Option<&SealKey>) -> Option<Vec<(String, String)>> {
    let Some(sealed) = &classifier.sealed else { return Some(Vec::new()) };
    let key = open(seal_key?, &classifier.place, sealed).ok()?;
    let (name, value) = match classifier.service {
        Service::ContentSafety => ("ocp-apim-subscription-key", key),
        Service::Moderation | Service::Deployment => ("authorization", format!("Bearer {key}")),
    };
    is_header_value(&value).then(|| Vec::from([(name.to_owned(), value)]))
}
