// Pins every reference to the secret to the version of the event.
//
// The contract is wit/policy.wit. There is no console, no network and no file system: a policy gets its arguments, and
// returns a decision.

/** Says what this policy is. */
export function describe() {
  return {
    name: "{{name}}",
    version: "0.1.0",
    summary: "Pins every reference to the version of the event",
    occurrences: ["new-version-created"],
    view: "references",
  };
}

/** Checks the `parameters` of a rotation. What it throws is the sentence that the operator reads. */
export function checkParameters(parameters) {
  for (const [name] of parameters) {
    throw `there is no parameter \`${name}\``;
  }
}

/** Decides about one app. The same event and app give the same decision, always. */
export function decide(event, app) {
  // Missing values are null.
  if (event.version === null) {
    throw "the event has no version";
  }
  const set = app.settings
    .filter(({ value }) => value.tag === "reference" && isOf(value.val, event))
    .map(({ name, value }) => [name, { tag: "reference", val: { ...value.val, version: event.version } }]);
  if (set.length === 0) {
    return { tag: "skip", val: `no setting references \`${event.name}\`` };
  }
  // Other changes than references to the event's secret need a grant in keyrelay.toml.
  return { tag: "patch", val: { set, remove: [] } };
}

/** Whether a reference is to the event's secret. Names compare without case. */
function isOf(reference, event) {
  return reference.vaultHost === event.vaultHost && reference.secret.toLowerCase() === event.name.toLowerCase();
}
