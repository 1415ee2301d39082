//! The key `audit`.

use crate::keys::AUDIT;
use crate::table::Table;

/// Reads the id of the Log Analytics workspace. None: there is no table `audit`, or it has a
/// problem, which is reported.
pub(crate) fn read_workspace(table: &mut Table) -> Option<String> {
    let mut audit = table.table("audit", AUDIT)?;
    let workspace = audit.text("workspace").unwrap_or_default();
    if uuid::Uuid::try_parse(&workspace).is_err() {
        audit.problem(
            "workspace",
            format!(
                "`{workspace}` is not the id of a Log Analytics workspace: write the GUID that the \
                 portal shows as \"Workspace ID\""
            ),
        );
    }
    table.absorb(audit);
    Some(workspace)
}
