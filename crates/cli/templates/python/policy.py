"""Pins every reference to the secret to the version of the event.

The contract is wit/policy.wit. There is no network and no file system: a policy gets its arguments, and returns a
decision. Its output goes to the log.
"""

from componentize_py_types import Err
from wit_world.imports import types


class WitWorld:
    def describe(self) -> types.About:
        """Describes this policy."""
        return types.About(
            name="{{name}}",
            version="0.1.0",
            summary="Pins every reference to the version of the event",
            occurrences=[types.Occurrence.NEW_VERSION_CREATED],
            view=types.View.REFERENCES,
        )

    def check_parameters(self, parameters: list[tuple[str, str]]) -> None:
        """Checks the `parameters` of a rotation. The operator reads the message of the error."""
        for name, _ in parameters:
            raise Err(f"there is no parameter `{name}`")

    def decide(self, event: types.Event, app: types.App) -> types.Decision:
        """Decides about one app. The decision depends on the event and the app only."""
        if event.version is None:
            raise Err("the event has no version")
        changes = []
        for setting in app.settings:
            match setting.value:
                case types.Value_Reference(value=reference) if is_of(reference, event):
                    pinned = types.Reference(reference.vault_host, reference.secret, event.version)
                    changes.append((setting.name, types.NewValue_Reference(pinned)))
        if not changes:
            return types.Decision_Skip(f"no setting references `{event.name}`")
        # Other changes than references to the event's secret need a grant in keyrelay.toml.
        return types.Decision_Patch(types.Patch(set=changes, remove=[]))


def is_of(reference: types.Reference, event: types.Event) -> bool:
    """Whether a reference is to the event's secret. Names compare without case."""
    return reference.vault_host == event.vault_host and reference.secret.lower() == event.name.lower()
