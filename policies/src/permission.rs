//! What an extension can be granted, by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The eight groups of permissions.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// Read the host application's records.
    DataRead,
    /// Change the host application's records.
    DataWrite,
    /// Delete the host application's records.
    DataDelete,
    /// Administer the host application.
    System,
    /// Reach services outside.
    External,
    /// Files of the host under the allowed roots.
    Files,
    /// Any network.
    Network,
    /// Reports and analytics.
    Reporting,
}

impl Category {
    /// Every category, in the order of the specification.
    pub const ALL: [Self; 8] = [
        Self::DataRead,
        Self::DataWrite,
        Self::DataDelete,
        Self::System,
        Self::External,
        Self::Files,
        Self::Network,
        Self::Reporting,
    ];

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DataRead => "data read",
            Self::DataWrite => "data write",
            Self::DataDelete => "data delete",
            Self::System => "system",
            Self::External => "external",
            Self::Files => "files",
            Self::Network => "network",
            Self::Reporting => "reporting",
        }
    }
}

macro_rules! permissions {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $category:ident;)+) => {
        /// One permission. A manifest asks for it, the tier caps it, the registry decides.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum Permission {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Permission {
            /// Every permission, in the order of the specification.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name in manifests and records.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The group it belongs to.
            #[must_use]
            pub const fn category(self) -> Category {
                match self { $(Self::$name => Category::$category,)+ }
            }

            /// The permission of that name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

permissions! {
    /// Read work orders.
    ReadWorkOrders = "READ_WORK_ORDERS", DataRead;
    /// Read materials.
    ReadMaterials = "READ_MATERIALS", DataRead;
    /// Read quality data.
    ReadQualityData = "READ_QUALITY_DATA", DataRead;
    /// Read equipment data.
    ReadEquipmentData = "READ_EQUIPMENT_DATA", DataRead;
    /// Read the production schedule.
    ReadProductionSchedule = "READ_PRODUCTION_SCHEDULE", DataRead;
    /// Read personnel data.
    ReadPersonnelData = "READ_PERSONNEL_DATA", DataRead;
    /// Change work orders.
    WriteWorkOrders = "WRITE_WORK_ORDERS", DataWrite;
    /// Change quality data.
    WriteQualityData = "WRITE_QUALITY_DATA", DataWrite;
    /// Change equipment data.
    WriteEquipmentData = "WRITE_EQUIPMENT_DATA", DataWrite;
    /// Change the production schedule.
    WriteProductionSchedule = "WRITE_PRODUCTION_SCHEDULE", DataWrite;
    /// Delete work orders.
    DeleteWorkOrders = "DELETE_WORK_ORDERS", DataDelete;
    /// Delete quality data.
    DeleteQualityData = "DELETE_QUALITY_DATA", DataDelete;
    /// Change the host application's configuration.
    SystemConfiguration = "SYSTEM_CONFIGURATION", System;
    /// Manage users.
    UserManagement = "USER_MANAGEMENT", System;
    /// Read the audit log.
    AuditLogAccess = "AUDIT_LOG_ACCESS", System;
    /// Reach ERP systems.
    ExternalErpAccess = "EXTERNAL_ERP_ACCESS", External;
    /// Call APIs outside.
    ExternalApiCalls = "EXTERNAL_API_CALLS", External;
    /// Register webhooks.
    WebhookRegistration = "WEBHOOK_REGISTRATION", External;
    /// Write, replace and delete files beneath the allowed roots.
    FileUpload = "FILE_UPLOAD", Files;
    /// Read files beneath the allowed roots.
    FileDownload = "FILE_DOWNLOAD", Files;
    /// Use the network.
    NetworkAccess = "NETWORK_ACCESS", Network;
    /// Make reports.
    GenerateReports = "GENERATE_REPORTS", Reporting;
    /// Read analytics.
    AccessAnalytics = "ACCESS_ANALYTICS", Reporting;
}

impl Permission {
    /// Whether it is one of the four that give any network at all.
    #[must_use]
    pub const fn network(self) -> bool {
        matches!(
            self,
            Self::ExternalApiCalls
                | Self::ExternalErpAccess
                | Self::WebhookRegistration
                | Self::NetworkAccess
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Category, Permission};

    #[test]
    fn names_and_serde_agree() {
        for permission in Permission::ALL {
            let json = serde_json::to_string(permission).unwrap();
            assert_eq!(json, format!("\"{}\"", permission.name()));
            assert_eq!(Permission::parse(permission.name()), Some(*permission));
        }
        assert_eq!(Permission::parse("read_work_orders"), None);
    }

    #[test]
    fn counts_are_those_of_the_specification() {
        let count = |category| Permission::ALL.iter().filter(|p| p.category() == category).count();
        assert_eq!(Permission::ALL.len(), 23);
        assert_eq!(Category::ALL.map(count), [6, 4, 2, 3, 3, 2, 1, 2]);
        assert_eq!(Permission::ALL.iter().filter(|p| p.network()).count(), 4);
    }
}
