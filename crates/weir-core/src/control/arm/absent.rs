//! Resource types of `Microsoft.CognitiveServices` of which a gateway at the edge has nothing.
//!
//! Decides which these are, and how one is told so: lists are empty, a name is not found, deleting what is not there is
//! done, and making one is refused with the reason and what to do instead. So programs that look through a whole account
//! work, and none believes that something protects it which does not.

use super::super::answer::{Answer, Location};
use super::super::command::{Desk, Outcome};
use super::convention::{error, listed, not_found};
use alloc::format;

/// Types in lower case, and why there are none.
const TYPES: [(&str, &str); 12] = [
    (
        "privateendpointconnections",
        "A gateway at the edge is in no virtual network; restrict callers by networkAcls.ipRules, or close the account by \
         publicNetworkAccess.",
    ),
    ("privatelinkresources", "A gateway at the edge is in no virtual network."),
    (
        "networksecurityperimeterconfigurations",
        "A gateway at the edge is in no network security perimeter; restrict callers by networkAcls.ipRules.",
    ),
    (
        "commitmentplans",
        "There are no commitments: what is used is accounted by the prices of the model catalog.",
    ),
    ("commitmenttiers", "There are no commitments."),
    (
        "encryptionscopes",
        "Secrets are sealed under the installation's own key, WEIR_SEAL_KEY; there are no customer-managed ones.",
    ),
    ("defenderforaisettings", "There is no Defender here; content filters are the account's raiPolicies."),
    ("capabilityhosts", "There are no agents here to host."),
    ("projects", "An account is one project; make another account, or a workspace of the same name."),
    ("raitopics", "Topics are not judged; name the terms in a raiBlocklist."),
    (
        "quotatiers",
        "There are no tiers of quota; the administrator sets quotas by PUT /api/weir/v1/defaults.",
    ),
    (
        "calculatemodelcapacity",
        "Capacity is tokens a minute: one unit of a standard SKU is 1000, one of a provisioned SKU what the model's \
         catalog entry says.",
    ),
];

/// The answer about `kind`, if it is one of these types; `rest` is what follows it in the path.
pub fn handle(
    desk: &Desk<'_>,
    method: &str,
    location: &Location,
    kind: &str,
    rest: &[&str],
) -> Option<Result<Outcome, Answer>> {
    let (_, why) = TYPES.iter().find(|(known, _)| *known == kind)?;
    // Below one that is not there, nothing is; a list of what is below it neither.
    let named = rest.len().checked_rem(2) == Some(1);
    Some(match method {
        "GET" if rest.is_empty() => listed(desk, location, [].into()),
        "GET" => Err(not_found(&location.path)),
        "DELETE" if named => Ok(Outcome::reading(Answer::empty(204))),
        _ => Err(error(400, "OperationNotSupported", &format!("'{kind}' cannot be made here. {why}"))),
    })
}
