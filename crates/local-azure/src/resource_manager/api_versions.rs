//! The api-versions of Resource Manager.
//!
//! The lists hold the versions that the az CLI, Microsoft's management libraries and keyrelay send.
//! Resource Manager itself accepts more.

use super::refusal::ResourceManagerRefusal;
use super::resource_type::ResourceType;

/// The api-versions of a route, in ascending order.
#[derive(Debug, Clone, Copy)]
pub(super) struct ApiVersions {
    all: &'static [&'static str],
    /// The first version with the operation. Dates compare as text.
    since: &'static str,
}

impl ApiVersions {
    const fn of(all: &'static [&'static str]) -> Self {
        Self { all, since: "" }
    }

    /// The versions from one on.
    pub(super) const fn since(self, first: &'static str) -> Self {
        Self {
            all: self.all,
            since: first,
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'static str> {
        let all = self.all.iter().copied();
        all.filter(move |version| *version >= self.since)
    }

    /// Rejects a version that is not in the list.
    pub(super) fn check(
        self,
        version: &str,
        resource_type: Option<ResourceType<'_>>,
    ) -> Result<(), ResourceManagerRefusal> {
        if self.iter().any(|it| it.eq_ignore_ascii_case(version)) {
            return Ok(());
        }
        Err(ResourceManagerRefusal::UnknownApiVersion {
            version: version.to_owned(),
            resource_type: resource_type.map(|it| it.types()),
            supported: self.iter().collect::<Vec<_>>().join(", "),
        })
    }
}

/// The endpoints of the cloud.
pub(super) const METADATA: ApiVersions =
    ApiVersions::of(&["2019-05-01", "2020-06-01", "2022-09-01"]);

/// Subscriptions and tenants.
pub(super) const SUBSCRIPTIONS: ApiVersions = ApiVersions::of(&[
    "2015-11-01",
    "2016-06-01",
    "2018-06-01",
    "2019-06-01",
    "2019-11-01",
    "2020-01-01",
    "2021-01-01",
    "2022-09-01",
    "2022-12-01",
]);

/// Resource groups, resources and resource providers.
pub(super) const RESOURCES: ApiVersions = ApiVersions::of(&[
    "2015-11-01",
    "2016-02-01",
    "2016-09-01",
    "2017-05-10",
    "2018-02-01",
    "2018-05-01",
    "2019-03-01",
    "2019-05-01",
    "2019-05-10",
    "2019-07-01",
    "2019-08-01",
    "2019-10-01",
    "2020-06-01",
    "2020-10-01",
    "2021-01-01",
    "2021-04-01",
    "2022-09-01",
    "2023-07-01",
    "2024-03-01",
    "2024-07-01",
    "2024-11-01",
    "2025-04-01",
]);

/// Sites, slots and their configuration.
pub(super) const SITES: ApiVersions = ApiVersions::of(&[
    "2015-08-01",
    "2016-08-01",
    "2018-02-01",
    "2018-11-01",
    "2019-08-01",
    "2020-06-01",
    "2020-09-01",
    "2020-10-01",
    "2020-12-01",
    "2021-01-01",
    "2021-01-15",
    "2021-02-01",
    "2021-03-01",
    "2022-03-01",
    "2022-09-01",
    "2023-01-01",
    "2023-12-01",
    "2024-04-01",
    "2024-11-01",
    "2025-03-01",
    "2025-05-01",
]);

/// App Service plans.
pub(super) const PLANS: ApiVersions = ApiVersions::of(&[
    "2015-08-01",
    "2016-09-01",
    "2018-02-01",
    "2018-11-01",
    "2019-08-01",
    "2020-06-01",
    "2020-09-01",
    "2020-10-01",
    "2020-12-01",
    "2021-01-01",
    "2021-01-15",
    "2021-02-01",
    "2021-03-01",
    "2022-03-01",
    "2022-09-01",
    "2023-01-01",
    "2023-12-01",
    "2024-04-01",
    "2024-11-01",
    "2025-03-01",
    "2025-05-01",
]);

/// System topics and their event subscriptions.
pub(super) const EVENT_GRID: ApiVersions = ApiVersions::of(&[
    "2021-12-01",
    "2022-06-15",
    "2023-12-15-preview",
    "2024-06-01-preview",
    "2024-12-15-preview",
    "2025-02-15",
]);

/// Vaults.
pub(super) const VAULTS: ApiVersions = ApiVersions::of(&[
    "2018-02-14",
    "2019-09-01",
    "2021-10-01",
    "2022-07-01",
    "2023-02-01",
    "2023-07-01",
    "2024-11-01",
]);

/// Role assignments, role definitions and permissions.
pub(super) const AUTHORIZATION: ApiVersions = ApiVersions::of(&[
    "2015-07-01",
    "2018-01-01-preview",
    "2020-04-01-preview",
    "2020-10-01-preview",
    "2022-04-01",
    "2022-05-01-preview",
]);
