// A policy that replaces the inline code of a Logic App: one setting gets the reference with the version of the event.
//
// The Logic App read all settings in plain text and wrote all of them back. The policy sees only names and references, and
// returns only the change.

export function describe() {
  return {
    name: "from-logic-app",
    version: "0.1.0",
    summary: "Sets one setting to the new version of the secret, as the Logic App did",
    occurrences: ["new-version-created"],
    view: "references",
  };
}

export function checkParameters(parameters) {
  const names = parameters.map(([name]) => name);
  if (names.length !== 1 || names[0] !== "setting") {
    throw "write `parameters = { setting = \"NAME\" }`: the setting that holds the secret";
  }
}

export function decide(event, app) {
  const [[, name]] = app.parameters;
  const setting = app.settings.find((setting) => setting.name === name);
  if (setting === undefined) {
    return { tag: "skip", val: `the app has no reference in \`${name}\`` };
  }
  // Before: settings[name] = "@Microsoft.KeyVault(SecretUri=" + data.Id + ")"; return settings;
  const reference = { vaultHost: event.vaultHost, secret: event.name, version: event.version };
  return { tag: "patch", val: { set: [[name, { tag: "reference", val: reference }]], remove: [] } };
}
