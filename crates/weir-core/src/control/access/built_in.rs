//! Azure's built-in roles, and those that stand for Databricks' permissions, as data.
//!
//! Source: `azure.md` C5, "Built-in roles"; of the long ones what can be done here. Decides nothing.

use super::permission::{Permission, owned};

/// A built-in role.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its UUID.
    pub guid: &'static str,
    /// What it is for.
    pub description: &'static str,
    actions: &'static [&'static str],
    not_actions: &'static [&'static str],
    data_actions: &'static [&'static str],
}

/// Whose holders may subscribe to offers without the rights of the marketplace (`azure.md`, C5, "Conflict").
pub const AZURE_AI_DEVELOPER: &str = "64702f94-c441-49e6-a78b-ef80e0188fee";

/// What Databricks calls `CAN_VIEW` on a serving endpoint (`databricks.md`, 8).
pub const SERVING_VIEWER: &str = "6f0d6d0a-3a53-4b34-9e43-2d1f6c9a7e01";
/// `CAN_QUERY`.
pub const SERVING_USER: &str = "6f0d6d0a-3a53-4b34-9e43-2d1f6c9a7e02";
/// `CAN_MANAGE`.
pub const SERVING_MANAGER: &str = "6f0d6d0a-3a53-4b34-9e43-2d1f6c9a7e03";

impl BuiltIn {
    /// What it allows.
    pub fn permission(&self) -> Permission {
        Permission {
            actions: owned(self.actions),
            not_actions: owned(self.not_actions),
            data_actions: owned(self.data_actions),
            ..Permission::default()
        }
    }
}

/// The built-in role of this UUID, in any case.
pub fn find(guid: &str) -> Option<&'static BuiltIn> {
    ROLES.iter().find(|role| role.guid.eq_ignore_ascii_case(guid))
}

const COGNITIVE_READ: &str = "Microsoft.CognitiveServices/*/read";
const COGNITIVE_ALL: &str = "Microsoft.CognitiveServices/*";
const ROLES_READ: &str = "Microsoft.Authorization/*/read";
const METRICS_READ: &str = "Microsoft.Insights/metrics/read";
const METRIC_DEFINITIONS_READ: &str = "Microsoft.Insights/metricdefinitions/read";
const GROUPS_READ: &str = "Microsoft.Resources/subscriptions/resourceGroups/read";
const DEPLOYMENTS_ALL: &str = "Microsoft.Resources/deployments/*";

/// All of them.
pub const ROLES: [BuiltIn; 15] = [
    BuiltIn {
        name: "Owner",
        guid: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        description: "Manages everything, roles included.",
        actions: &["*"],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        name: "Contributor",
        guid: "b24988ac-6180-42a0-ab88-20f7382dd24c",
        description: "Manages everything but roles, principals and keys of principals.",
        actions: &["*"],
        not_actions: &[
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
        ],
        data_actions: &[],
    },
    BuiltIn {
        name: "Reader",
        guid: "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        description: "Reads everything.",
        actions: &["*/read"],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        name: "Azure AI Developer",
        guid: AZURE_AI_DEVELOPER,
        description: "Does everything within a workspace but manage the workspace itself.",
        actions: &[
            "Microsoft.MachineLearningServices/workspaces/*/read",
            "Microsoft.MachineLearningServices/workspaces/*/action",
            "Microsoft.MachineLearningServices/workspaces/*/delete",
            "Microsoft.MachineLearningServices/workspaces/*/write",
            "Microsoft.MachineLearningServices/locations/*/read",
            ROLES_READ,
            DEPLOYMENTS_ALL,
        ],
        not_actions: &[
            "Microsoft.MachineLearningServices/workspaces/delete",
            "Microsoft.MachineLearningServices/workspaces/write",
            "Microsoft.MachineLearningServices/workspaces/listKeys/action",
            "Microsoft.MachineLearningServices/workspaces/hubs/write",
            "Microsoft.MachineLearningServices/workspaces/hubs/delete",
            "Microsoft.MachineLearningServices/workspaces/featurestores/write",
            "Microsoft.MachineLearningServices/workspaces/featurestores/delete",
            "Microsoft.MachineLearningServices/workspaces/evaluations/results/labels/read",
            "Microsoft.MachineLearningServices/workspaces/evaluations/results/reasonings/read",
            "Microsoft.MachineLearningServices/workspaces/simulations/results/images/read",
        ],
        data_actions: &[
            "Microsoft.CognitiveServices/accounts/OpenAI/*",
            "Microsoft.CognitiveServices/accounts/SpeechServices/*",
            "Microsoft.CognitiveServices/accounts/ContentSafety/*",
            "Microsoft.CognitiveServices/accounts/MaaS/*",
        ],
    },
    BuiltIn {
        name: "AzureML Data Scientist",
        guid: "f6c7c914-8db3-469d-8ca1-694a8f32e121",
        description: "Does everything within a workspace but manage it, its computes and its keys.",
        actions: &[
            "Microsoft.MachineLearningServices/workspaces/*/read",
            "Microsoft.MachineLearningServices/workspaces/*/action",
            "Microsoft.MachineLearningServices/workspaces/*/delete",
            "Microsoft.MachineLearningServices/workspaces/*/write",
        ],
        not_actions: &[
            "Microsoft.MachineLearningServices/workspaces/delete",
            "Microsoft.MachineLearningServices/workspaces/write",
            "Microsoft.MachineLearningServices/workspaces/computes/*/write",
            "Microsoft.MachineLearningServices/workspaces/computes/*/delete",
            "Microsoft.MachineLearningServices/workspaces/computes/listKeys/action",
            "Microsoft.MachineLearningServices/workspaces/listKeys/action",
            "Microsoft.MachineLearningServices/workspaces/hubs/write",
            "Microsoft.MachineLearningServices/workspaces/hubs/delete",
            "Microsoft.MachineLearningServices/workspaces/featurestores/write",
            "Microsoft.MachineLearningServices/workspaces/featurestores/delete",
        ],
        data_actions: &[],
    },
    BuiltIn {
        name: "Azure AI Administrator",
        guid: "b78c5d69-af96-48a3-bf8d-a8b4d589de94",
        description: "Manages workspaces, accounts and what they use.",
        actions: &[
            ROLES_READ,
            COGNITIVE_ALL,
            "Microsoft.MachineLearningServices/workspaces/*",
            "Microsoft.MachineLearningServices/locations/*/read",
            "Microsoft.Storage/storageAccounts/*",
            "Microsoft.KeyVault/vaults/*",
            "Microsoft.Insights/alertRules/*",
            METRICS_READ,
            METRIC_DEFINITIONS_READ,
            DEPLOYMENTS_ALL,
            GROUPS_READ,
            "Microsoft.Support/*",
        ],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        name: "Azure AI Account Owner",
        guid: "e47c6f54-e4a2-4754-9501-8e0985b135e1",
        description: "Manages accounts.",
        actions: &[
            ROLES_READ,
            COGNITIVE_ALL,
            METRICS_READ,
            METRIC_DEFINITIONS_READ,
            DEPLOYMENTS_ALL,
            GROUPS_READ,
        ],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        name: "Azure AI User",
        guid: "53ca6127-db72-4b80-b1b0-d745d6d5456d",
        description: "Reads accounts and queries their models.",
        actions: &[ROLES_READ, COGNITIVE_READ, METRICS_READ, METRIC_DEFINITIONS_READ, GROUPS_READ],
        not_actions: &[],
        data_actions: &[COGNITIVE_ALL],
    },
    BuiltIn {
        name: "Cognitive Services Contributor",
        guid: "25fbc0a9-bd7c-42a3-aa1a-3b75d497ee68",
        description: "Manages accounts, their keys included.",
        actions: &[
            ROLES_READ,
            COGNITIVE_ALL,
            "Microsoft.Insights/alertRules/*",
            METRICS_READ,
            METRIC_DEFINITIONS_READ,
            DEPLOYMENTS_ALL,
            GROUPS_READ,
            "Microsoft.Support/*",
        ],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        name: "Cognitive Services User",
        guid: "a97b65f3-24c7-4388-baec-2e87135dc908",
        description: "Reads accounts, lists their keys and queries their models.",
        actions: &[
            COGNITIVE_READ,
            "Microsoft.CognitiveServices/accounts/listkeys/action",
            METRICS_READ,
            METRIC_DEFINITIONS_READ,
            GROUPS_READ,
            "Microsoft.Support/*",
        ],
        not_actions: &[],
        data_actions: &[COGNITIVE_ALL],
    },
    BuiltIn {
        name: "Cognitive Services OpenAI User",
        guid: "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
        description: "Reads accounts and queries their models by the OpenAI API.",
        actions: &[
            COGNITIVE_READ,
            "Microsoft.Authorization/roleAssignments/read",
            "Microsoft.Authorization/roleDefinitions/read",
        ],
        not_actions: &[],
        data_actions: &[
            "Microsoft.CognitiveServices/accounts/OpenAI/*/read",
            "Microsoft.CognitiveServices/accounts/OpenAI/engines/completions/action",
            "Microsoft.CognitiveServices/accounts/OpenAI/engines/search/action",
            "Microsoft.CognitiveServices/accounts/OpenAI/engines/generate/action",
            "Microsoft.CognitiveServices/accounts/OpenAI/deployments/audio/action",
            "Microsoft.CognitiveServices/accounts/OpenAI/deployments/search/action",
            "Microsoft.CognitiveServices/accounts/OpenAI/deployments/completions/action",
            "Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action",
            "Microsoft.CognitiveServices/accounts/OpenAI/deployments/extensions/chat/completions/action",
            "Microsoft.CognitiveServices/accounts/OpenAI/deployments/embeddings/action",
            "Microsoft.CognitiveServices/accounts/OpenAI/images/generations/action",
        ],
    },
    BuiltIn {
        name: "Cognitive Services OpenAI Contributor",
        guid: "a001fd3d-188f-4b5d-821b-7da978bf7442",
        description: "Deploys models in accounts and queries them by the OpenAI API.",
        actions: &[
            COGNITIVE_READ,
            "Microsoft.CognitiveServices/accounts/deployments/write",
            "Microsoft.CognitiveServices/accounts/deployments/delete",
            "Microsoft.CognitiveServices/accounts/raiPolicies/read",
            "Microsoft.CognitiveServices/accounts/raiPolicies/write",
            "Microsoft.CognitiveServices/accounts/raiPolicies/delete",
            "Microsoft.CognitiveServices/accounts/commitmentplans/read",
            "Microsoft.CognitiveServices/accounts/commitmentplans/write",
            "Microsoft.CognitiveServices/accounts/commitmentplans/delete",
            "Microsoft.Authorization/roleAssignments/read",
            "Microsoft.Authorization/roleDefinitions/read",
        ],
        not_actions: &[],
        data_actions: &["Microsoft.CognitiveServices/accounts/OpenAI/*"],
    },
    BuiltIn {
        name: "Serving Endpoint Viewer",
        guid: SERVING_VIEWER,
        description: "Sees serving endpoints.",
        actions: &["Weir/servingEndpoints/read"],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        name: "Serving Endpoint User",
        guid: SERVING_USER,
        description: "Sees and queries serving endpoints.",
        actions: &["Weir/servingEndpoints/read"],
        not_actions: &[],
        data_actions: &[COGNITIVE_ALL],
    },
    BuiltIn {
        name: "Serving Endpoint Manager",
        guid: SERVING_MANAGER,
        description: "Sees, queries and manages serving endpoints and their permissions.",
        actions: &["Weir/servingEndpoints/*"],
        not_actions: &[],
        data_actions: &[COGNITIVE_ALL],
    },
];
