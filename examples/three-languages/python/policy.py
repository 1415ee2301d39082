"""Slots follow the newest version, production is pinned to it; the owner of a secret is told when it expires."""

from componentize_py_types import Err
from wit_world.imports import types


class WitWorld:
    def describe(self) -> types.About:
        return types.About(
            name="slots-first",
            version="0.1.0",
            summary="Slots follow the newest version, production is pinned to it",
            occurrences=[
                types.Occurrence.NEW_VERSION_CREATED,
                types.Occurrence.NEAR_EXPIRY,
                types.Occurrence.EXPIRED,
            ],
            view=types.View.REFERENCES,
        )

    def check_parameters(self, parameters: list[tuple[str, str]]) -> None:
        for name, _ in parameters:
            if name != "owner":
                raise Err(f"there is no parameter `{name}`: only `owner`, who renews the secret")
        if not owner(parameters):
            raise Err('say who renews the secret: parameters = { owner = "..." }')

    def decide(self, event: types.Event, app: types.App) -> types.Decision:
        match event.occurrence:
            case types.Occurrence.NEW_VERSION_CREATED:
                return new_version(event, app)
            case types.Occurrence.EXPIRED:
                return report(app, f"`{event.name}` has expired")
            case _:
                return report(app, f"`{event.name}` expires {when(event)}")


def new_version(event: types.Event, app: types.App) -> types.Decision:
    references = []
    for setting in app.settings:
        match setting.value:
            case types.Value_Reference(value=reference) if is_of(reference, event):
                references.append((setting.name, reference))
    if not references:
        return types.Decision_Skip(f"{app.name} does not reference `{event.name}`")
    if event.version is None:
        raise Err("the event has no version")
    # References in a slot get no version, those in production the version of the event.
    version = event.version if app.slot is None else None
    stale = [
        (name, types.NewValue_Reference(types.Reference(reference.vault_host, reference.secret, version)))
        for name, reference in references
        if reference.version != version
    ]
    if stale:
        return types.Decision_Patch(types.Patch(set=stale, remove=[]))
    return types.Decision_Skip(f"already pinned to {version}") if app.slot is None else types.Decision_Refresh()


def when(event: types.Event) -> str:
    if event.expires is None:
        return "soon"
    return f"in {max(event.expires - event.time, 0) // 86_400} days"


def report(app: types.App, what: str) -> types.Decision:
    return types.Decision_Notice(f"{what}: {owner(app.parameters)} has to renew it")


def owner(parameters: list[tuple[str, str]]) -> str:
    return dict(parameters).get("owner", "")


def is_of(reference: types.Reference, event: types.Event) -> bool:
    """Whether a reference is to the event's secret. Names compare without case."""
    return reference.vault_host == event.vault_host and reference.secret.lower() == event.name.lower()
