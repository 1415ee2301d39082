//! Sites, slots and their identities.

use std::collections::BTreeMap;

use keyrelay_model::AppId;
use serde::Deserialize;
use url::Url;

use super::client::ResourceManager;
use super::scope::Scope;
use crate::call::Call;
use crate::error::AzureError;
use crate::failure::NextLinkError;
use crate::paging::{PageLink, read_json};
use crate::request_log::Operation;
use crate::transport::{Action, Request};

/// A site or a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its id.
    pub id: AppId,
    /// Its kind: `app`, `functionapp,linux`, ...
    pub kind: Option<String>,
    /// `Running` or `Stopped`.
    pub state: Option<String>,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The kinds of its identities: `SystemAssigned`, `UserAssigned`, or both separated by a comma.
    pub identity: Option<String>,
    /// The identity that resolves its references: `SystemAssigned`, or the id of a user-assigned
    /// one.
    pub reference_identity: Option<String>,
    /// The pricing tier of its plan: `Basic`, `PremiumV3`, `Dynamic`, ... Azure may leave it out.
    pub sku: Option<String>,
}

/// The pricing tiers whose apps have no slots
/// (learn.microsoft.com/azure/app-service/deploy-staging-slots, and for Flex Consumption
/// learn.microsoft.com/azure/azure-functions/functions-deployment-slots).
const WITHOUT_SLOTS: [&str; 4] = ["Free", "Shared", "Basic", "FlexConsumption"];

/// Largest number of the pages of a list of sites: some 100 sites each.
const MAX_PAGES: u32 = 2_000;

impl Site {
    /// Whether it may have slots beside the production slot: true unless it is a slot itself, or its
    /// pricing tier is known to have none.
    pub fn may_have_slots(&self) -> bool {
        let has_none = |sku: &str| WITHOUT_SLOTS.iter().any(|it| it.eq_ignore_ascii_case(sku));
        self.id.slot().is_none() && !self.sku.as_deref().is_some_and(has_none)
    }
}

/// One page of the list of sites of a scope, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitesPage {
    /// The sites, without their slots.
    pub sites: Vec<Site>,
    /// The slots on this page. They may belong to sites on other pages. None: the list has no slots,
    /// and those of its sites must be listed in another way.
    pub slots: Option<Vec<Site>>,
    /// The link to the next page. None: this is the last one.
    pub next: Option<PageLink>,
}

impl SitesPage {
    /// Whether the list has the slots of its sites, so that they need not be listed for each site.
    pub fn slots_included(&self) -> bool {
        self.slots.is_some()
    }

    /// `includes_slots`: whether slots were requested. If not, rows of slots are dropped, because the
    /// list does not promise to have all of them.
    fn new(rows: Vec<Site>, includes_slots: bool, next: Option<PageLink>) -> Self {
        let (slots, sites) = rows.into_iter().partition(|row| row.id.slot().is_some());
        Self {
            sites,
            slots: includes_slots.then_some(slots),
            next,
        }
    }
}

/// The parameter of Web Apps - List By Resource Group
/// (learn.microsoft.com/rest/api/appservice/web-apps/list-by-resource-group). The list of a
/// subscription does not have it.
const INCLUDE_SLOTS: &str = "includeSlots";

impl ResourceManager {
    /// Lists the sites of a scope, without their slots. Needs `sites/Read`.
    ///
    /// The list can be partial without an error: 32 of 101 sites were seen
    /// (azure-sdk-for-python#48980).
    pub async fn sites(&self, scope: &Scope, call: &Call) -> Result<Vec<Site>, AzureError> {
        let request = self.sites_request(scope);
        self.transport.list(request, call, SiteRow::read).await
    }

    /// Reads one page of the list of sites of a scope: the first one, or the one at `link`. `number` is
    /// the number of pages before it. A list of many thousand sites takes minutes.
    ///
    /// The list of a resource group includes slots. See
    /// [`group_sites_with_slots`](Self::group_sites_with_slots) for those of a subscription.
    ///
    /// A link to another endpoint is an error: it must not get the token. So is a list without an end:
    /// one whose link leads back to its own page, or with a page behind number 2,000.
    pub async fn sites_page(
        &self,
        scope: &Scope,
        link: Option<&PageLink>,
        number: u32,
        call: &Call,
    ) -> Result<SitesPage, AzureError> {
        let mut request = self.sites_request_with_slots(scope);
        if number > MAX_PAGES {
            return Err(request.failed(NextLinkError::Endless(MAX_PAGES).into()));
        }
        if let Some(link) = link {
            request.url = request.follow(link)?;
        }
        // By the link itself: it may come from a list that was requested without slots.
        let has_slots = has_slots(&request.url);
        let page = self.transport.page(&request, call, SiteRow::read).await?;
        if page.next.is_some() && page.next.as_ref() == link {
            return Err(request.failed(NextLinkError::Loop.into()));
        }
        Ok(SitesPage::new(page.items, has_slots, page.next))
    }

    /// Lists all sites and slots of a resource group, with one request for a page of both. Needs
    /// `sites/Read`. The list of a subscription has no slots.
    ///
    /// Like [`sites`](Self::sites), the list can be partial without an error.
    pub async fn group_sites_with_slots(
        &self,
        group: &Scope,
        call: &Call,
    ) -> Result<SitesPage, AzureError> {
        let request = self.sites_request_with_slots(group);
        let has_slots = has_slots(&request.url);
        let rows = self.transport.list(request, call, SiteRow::read).await?;
        Ok(SitesPage::new(rows, has_slots, None))
    }

    fn sites_request_with_slots(&self, scope: &Scope) -> Request<'static> {
        let mut request = self.sites_request(scope);
        if scope.resource_group().is_some() {
            let mut query = request.url.query_pairs_mut();
            query.append_pair(INCLUDE_SLOTS, "true");
        }
        request
    }

    fn sites_request(&self, scope: &Scope) -> Request<'static> {
        Request {
            operation: Operation::ListSites,
            subject: scope.to_string(),
            identity: 0,
            throttle: scope.subscription().to_owned(),
            url: self.url(&format!("{scope}/providers/Microsoft.Web/sites")),
            action: Action::Get,
            is_admitted: false,
        }
    }

    /// Lists the slots of a site, or of the site that a slot belongs to. The production slot is not
    /// included.
    pub async fn slots(&self, app: &AppId, call: &Call) -> Result<Vec<Site>, AzureError> {
        let site = Scope::group_of(app);
        let path = format!("{site}/providers/Microsoft.Web/sites/{}/slots", app.site());
        let request = self.app_request(Operation::ListSlots, app, &path, Action::Get);
        self.transport.list(request, call, SiteRow::read).await
    }

    /// Reads the object ids of an app's identities, one for each client id; `None` for a client id
    /// that the app does not have. Needs `sites/Read`.
    ///
    /// Without client ids, it is one object id: that of a user-assigned identity if there is any,
    /// else that of the system-assigned one. So it is for a single client id that Azure does not
    /// list.
    pub async fn principals(
        &self,
        app: &AppId,
        client_ids: &[String],
        call: &Call,
    ) -> Result<Vec<Option<String>>, AzureError> {
        let request = self.app_request(Operation::ListSites, app, &app.to_string(), Action::Get);
        let body = self.transport.send(&request, call).await?;
        let row: PrincipalRow = read_json(&body).map_err(|failure| request.failed(failure))?;
        Ok(row.principals(client_ids))
    }

    /// Reads the object id of the identity that resolves an app's references; `None` if the app has
    /// no such identity. Needs `sites/Read`.
    ///
    /// It is the system-assigned identity, unless `keyVaultReferenceIdentity` names a user-assigned
    /// one.
    pub async fn reference_principal(
        &self,
        app: &AppId,
        call: &Call,
    ) -> Result<Option<String>, AzureError> {
        let request = self.app_request(Operation::ListSites, app, &app.to_string(), Action::Get);
        let body = self.transport.send(&request, call).await?;
        let row: PrincipalRow = read_json(&body).map_err(|failure| request.failed(failure))?;
        Ok(row.reference_principal())
    }
}

/// Whether a URL requests slots.
fn has_slots(url: &Url) -> bool {
    url.query_pairs().any(|(name, value)| {
        name.eq_ignore_ascii_case(INCLUDE_SLOTS) && value.eq_ignore_ascii_case("true")
    })
}

/// A site as Resource Manager writes it.
#[derive(Deserialize)]
struct SiteRow {
    id: String,
    kind: Option<String>,
    identity: Option<IdentityRow>,
    properties: Option<SiteProperties>,
}

#[derive(Deserialize)]
struct IdentityRow {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SiteProperties {
    state: Option<String>,
    enabled: Option<bool>,
    key_vault_reference_identity: Option<String>,
    sku: Option<String>,
}

impl SiteRow {
    fn read(self) -> Option<Site> {
        let SiteProperties {
            state,
            enabled,
            key_vault_reference_identity,
            sku,
        } = self.properties.unwrap_or_default();
        Some(Site {
            id: self.id.parse().ok()?,
            kind: self.kind,
            state,
            enabled: enabled.unwrap_or(true),
            identity: self.identity.and_then(|identity| identity.kind),
            reference_identity: key_vault_reference_identity
                .filter(|identity| !identity.is_empty()),
            sku: sku.filter(|sku| !sku.is_empty()),
        })
    }
}

/// A site, reduced to its identities.
#[derive(Deserialize)]
struct PrincipalRow {
    identity: Option<Principals>,
    properties: Option<SiteProperties>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Principals {
    principal_id: Option<String>,
    user_assigned_identities: Option<BTreeMap<String, UserAssigned>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserAssigned {
    principal_id: Option<String>,
    client_id: Option<String>,
}

impl PrincipalRow {
    fn principals(self, client_ids: &[String]) -> Vec<Option<String>> {
        let identity = self.identity.unwrap_or_default();
        let assigned = identity.user_assigned_identities.unwrap_or_default();
        let assigned: Vec<UserAssigned> = assigned.into_values().collect();
        let of = |client_id: &String| {
            let found = assigned.iter().find(|it| {
                let own = it.client_id.as_ref();
                own.is_some_and(|own| own.eq_ignore_ascii_case(client_id))
            });
            found.and_then(|it| it.principal_id.clone())
        };
        let any = || {
            let of_user = assigned.first().and_then(|it| it.principal_id.clone());
            of_user.or_else(|| identity.principal_id.clone())
        };
        match client_ids {
            [] => vec![any()],
            [one] => vec![of(one).or_else(any)],
            several => several.iter().map(of).collect(),
        }
    }

    fn reference_principal(self) -> Option<String> {
        let identity = self.identity.unwrap_or_default();
        let resolves = self
            .properties
            .and_then(|properties| properties.key_vault_reference_identity)
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("SystemAssigned"));
        let Some(id) = resolves else {
            return identity.principal_id;
        };
        let mut assigned = identity
            .user_assigned_identities
            .unwrap_or_default()
            .into_iter();
        assigned
            .find(|(of, _)| of.eq_ignore_ascii_case(&id))
            .and_then(|(_, assigned)| assigned.principal_id)
    }
}
