// Pins every reference to the secret to the version that the event tells of.
//
// The contract is in wit/policy.wit. There is no console, no network and no file: everything that the rule may know is in
// its arguments, and everything it can do is answer.

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
  // What is not there is null.
  if (event.version === null) {
    throw "the event has no version";
  }
  const set = app.settings
    .filter(({ value }) => value.tag === "reference" && isOf(value.val, event))
    .map(({ name, value }) => [name, { tag: "reference", val: { ...value.val, version: event.version } }]);
  if (set.length === 0) {
    return { tag: "skip", val: `no setting references \`${event.name}\`` };
  }
  // What it changes must be granted in keyrelay.toml, but for references to the event's own secret.
  return { tag: "patch", val: { set, remove: [] } };
}

/** Whether a reference is to the event's secret. Names compare without case. */
function isOf(reference, event) {
  return reference.vaultHost === event.vaultHost && reference.secret.toLowerCase() === event.name.toLowerCase();
}
