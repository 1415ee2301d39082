//! The status of references in settings and connection strings.

use super::bodies::{self, RowForm};
use super::refusal::ResourceManagerRefusal;
use super::request::{ManagerRequest, OperationResult};
use crate::apps::{LocalApp, ReferenceKind, ReferenceRow};
use crate::paging::Keyed;
use crate::response;

/// Lists the references of one kind.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let rows = rows(request, RowForm::Listed)?;
    Ok(request.manager.list(request.call, rows))
}

/// Gets one reference.
pub(super) fn get(request: &ManagerRequest<'_>) -> OperationResult {
    let (app, kind, name) = (request.app()?, kind(request)?, request.part(3));
    let row = of_kind(app, kind)
        .find(|row| row.setting.eq_ignore_ascii_case(name))
        .ok_or_else(|| ResourceManagerRefusal::NoReference {
            kind,
            name: name.to_owned(),
        })?;
    let body = bodies::reference(request.manager, app, row, RowForm::Single);
    Ok(response::ok(&body))
}

/// Schedules the resolution of all references. The response holds all rows of one kind as they were
/// before, without pages.
pub(super) fn refresh(request: &ManagerRequest<'_>) -> OperationResult {
    let before = rows(request, RowForm::Refreshed)?;
    let before = request.manager.list_of(request.call, before, usize::MAX);
    request.manager.apps.refresh(request.app()?);
    Ok(before)
}

/// The kind of references in the path.
fn kind(request: &ManagerRequest<'_>) -> Result<ReferenceKind, ResourceManagerRefusal> {
    ReferenceKind::of_collection(request.part(2)).ok_or(ResourceManagerRefusal::NoOperation)
}

/// The references of the kind in the path, each with its name.
fn rows(request: &ManagerRequest<'_>, form: RowForm) -> Result<Vec<Keyed>, ResourceManagerRefusal> {
    let (app, kind) = (request.app()?, kind(request)?);
    let rows = of_kind(app, kind).map(|row| {
        let name = row.setting.clone();
        (name, bodies::reference(request.manager, app, row, form))
    });
    Ok(rows.collect())
}

/// The references of one kind.
fn of_kind(app: &LocalApp, kind: ReferenceKind) -> impl Iterator<Item = ReferenceRow> {
    app.references()
        .into_iter()
        .filter(move |row| row.kind == kind)
}
