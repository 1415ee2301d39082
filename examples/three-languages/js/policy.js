// Slots follow the newest version, production is pinned to it; the owner of a secret is told when it expires.

export function describe() {
  return {
    name: "slots-first",
    version: "0.1.0",
    summary: "Slots follow the newest version, production is pinned to it",
    occurrences: ["new-version-created", "near-expiry", "expired"],
    view: "references",
  };
}

export function checkParameters(parameters) {
  for (const [name] of parameters) {
    if (name !== "owner") {
      throw `there is no parameter \`${name}\`: only \`owner\`, who renews the secret`;
    }
  }
  if (!owner(parameters)) {
    throw 'say who renews the secret: parameters = { owner = "..." }';
  }
}

export function decide(event, app) {
  switch (event.occurrence) {
    case "new-version-created":
      return newVersion(event, app);
    case "expired":
      return report(app, `\`${event.name}\` has expired`);
    default:
      return report(app, `\`${event.name}\` expires ${when(event)}`);
  }
}

function newVersion(event, app) {
  const references = app.settings.filter(({ value }) => value.tag === "reference" && isOf(value.val, event));
  if (references.length === 0) {
    return { tag: "skip", val: `${app.name} does not reference \`${event.name}\`` };
  }
  if (event.version === null) {
    throw "the event has no version";
  }
  // References in a slot get no version, those in production the version of the event.
  const version = app.slot === null ? event.version : null;
  const set = references
    .filter(({ value }) => value.val.version !== version)
    .map(({ name, value }) => [name, { tag: "reference", val: { ...value.val, version } }]);
  if (set.length > 0) {
    return { tag: "patch", val: { set, remove: [] } };
  }
  return app.slot === null ? { tag: "skip", val: `already pinned to ${version}` } : { tag: "refresh" };
}

/** Describes the time until the expiry. Times are numbers, or BigInt in other engines. */
function when(event) {
  if (event.expires === null) {
    return "soon";
  }
  const left = Number(event.expires) - Number(event.time);
  return `in ${Math.floor(Math.max(left, 0) / 86400)} days`;
}

function report(app, what) {
  return { tag: "notice", val: `${what}: ${owner(app.parameters)} has to renew it` };
}

function owner(parameters) {
  return parameters.find(([name]) => name === "owner")?.[1] ?? "";
}

/** Whether a reference is to the event's secret. Names compare without case. */
function isOf(reference, event) {
  return reference.vaultHost === event.vaultHost && reference.secret.toLowerCase() === event.name.toLowerCase();
}
