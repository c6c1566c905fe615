//! The simulated model.
use serde::{Deserialize, Serialize};
/// Directives of a simulated model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatorConfig {}
